"""Arrays are given again, never while anything still looks into them."""

import threading

import numpy as np
from sonde.storage.reuse import Reused


def address(array) -> int:
    return array.__array_interface__["data"][0]


def test_an_array_is_given_again_once_nothing_refers_to_it():
    reused = Reused(np.int64)
    first = reused.take(1000)
    where = address(first)
    del first
    assert address(reused.take(900)) == where


def test_a_view_of_a_view_keeps_an_array_from_being_given_again():
    reused = Reused(np.uint8)
    first = reused.take(1000)
    first[:] = 7
    column = first[8:16].view(np.int64).reshape(1, 1)
    del first
    reused.take(1000)[:] = 9
    assert column.view(np.uint8).tolist() == [[7] * 8]


def test_a_memoryview_keeps_it_too():
    reused = Reused(np.uint8)
    held = memoryview(reused.take(10))
    held[:] = bytes(10)
    reused.take(10)[:] = 9
    assert bytes(held) == bytes(10)


def test_threads_have_arrays_of_their_own():
    reused = Reused(np.uint8)
    where = address(reused.take(1000))
    found = []
    thread = threading.Thread(target=lambda: found.append(address(reused.take(1000))))
    thread.start()
    thread.join()
    assert found != [where]


def test_an_array_beyond_the_bound_is_not_kept():
    reused = Reused(np.uint8, largest_bytes=1000)
    reused.take(1000)
    assert reused._kept == []


def test_as_many_arrays_are_kept_as_are_in_use_at_once():
    reused = Reused(np.int64, keep=2)
    first, second = reused.take(1000), reused.take(1000)
    places = {address(first), address(second)}
    assert len(places) == 2
    del first, second
    again = [reused.take(1000), reused.take(1000)]
    assert {address(array) for array in again} == places


def test_a_larger_array_takes_the_place_of_one_that_is_free():
    reused = Reused(np.int64, keep=2)
    held = reused.take(100)
    small = address(reused.take(100))
    large = address(reused.take(1000))
    assert [address(kept) for kept in reused._kept] == [address(held), large]
    assert small != large

"""Filters: small values, joined once."""

from __future__ import annotations

import pytest
from sonde.query import filters
from sonde.query.errors import InvalidParameter
from sonde.query.filters import Filter
from sonde.query.times import TimeRange


@pytest.mark.parametrize(
    ("given", "where", "params"),
    [
        ([], "1", {}),
        ([None, None], "1", {}),
        ([Filter("a = {a:String}", {"a": "x"})], "a = {a:String}", {"a": "x"}),
        (
            [Filter("a OR b", {}), None, filters.equals("service_name", "cart")],
            "(a OR b)\n  AND service_name = {service_name:String}",
            {"service_name": "cart"},
        ),
    ],
)
def test_filters_are_joined_once(given: list[Filter | None], where: str, params: dict[str, object]) -> None:
    assert filters.join(given) == (where, params)


def test_two_filters_can_not_share_a_parameter() -> None:
    with pytest.raises(ValueError, match="two filters use the parameter a"):
        filters.join([Filter("x", {"a": 1}), Filter("y", {"a": 2})])


def test_a_range_is_half_open() -> None:
    clause, params = filters.between(TimeRange(1, 2))
    assert ">=" in clause
    assert "< " in clause
    assert params == {"start": 1, "end": 2}


@pytest.mark.parametrize(("text", "number"), [("server", 2), ("Client", 3), ("0", 0), ("77", 77), ("-1", -1)])
def test_a_kind_is_a_name_or_a_number(text: str, number: int) -> None:
    assert filters.kind(text) == Filter("kind = {kind:Int32}", {"kind": number})


@pytest.mark.parametrize("text", ["", "sever", "2.0", "1" * 20, "'"])
def test_an_unknown_kind_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        filters.kind(text)
    assert "producer" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "number"),
    [("trace", 1), ("WARN", 13), ("warning", 13), ("error3", 19), ("fatal4", 24), ("9", 9), ("critical", 21)],
)
def test_a_severity_is_a_name_or_a_number(text: str, number: int) -> None:
    assert filters.severity_number(text) == number


@pytest.mark.parametrize("text", ["", "loud", "error5", "error0", "-1", "error 1"])
def test_an_unknown_severity_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="severity"):
        filters.severity_number(text)


@pytest.mark.parametrize(
    ("least", "most", "clause", "params"),
    [
        ("150ms", None, "duration_nano >= {min_duration:Int64}", {"min_duration": 150_000_000}),
        (None, "1s", "duration_nano <= {max_duration:Int64}", {"max_duration": 10**9}),
        (
            "1ms",
            "2ms",
            "duration_nano >= {min_duration:Int64} AND duration_nano <= {max_duration:Int64}",
            {"min_duration": 10**6, "max_duration": 2 * 10**6},
        ),
    ],
)
def test_durations_carry_units(least: str | None, most: str | None, clause: str, params: dict[str, int]) -> None:
    assert filters.duration(least, most) == Filter(clause, params)


def test_no_duration_is_no_filter() -> None:
    assert filters.duration(None, None) is None


@pytest.mark.parametrize(
    "text", ["", "xyz", "4bf92f3577b34da6a3ce929d0e0e473", "4bf92f3577b34da6a3ce929d0e0e47366", "g" * 32, "٤" * 32]
)
def test_an_id_is_hex_of_its_length(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        filters.identifier(text, 16, "trace_id")
    assert caught.value.parameter == "trace_id"


def test_an_id_may_be_written_in_capitals() -> None:
    assert (
        filters.identifier("4BF92F3577B34DA6A3CE929D0E0E4736", 16, "trace_id").hex()
        == "4bf92f3577b34da6a3ce929d0e0e4736"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("refused", []),
        ("connection refused", []),
        ("the connection was refused", ["connection", "was"]),
        (" refused ", ["refused"]),
        ("[error] id=5;", ["error", "id", "5"]),
        ("größe über alles", ["über"]),
        ("", []),
    ],
)
def test_only_words_with_an_end_on_both_sides_are_surely_whole(text: str, words: list[str]) -> None:
    assert filters.whole_words(text) == words


def test_words_without_a_word_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="words"):
        filters.body_words(["--"])

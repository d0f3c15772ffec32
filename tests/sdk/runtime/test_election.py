"""One of a user's processes is elected, and another one when that has ended, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sonde.sdk.runtime.election import POSSIBLE, Election

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="abstract sockets are Linux's")

CANDIDATE = """
import os, sys
from sonde.sdk.runtime.election import Election
election = Election(sys.argv[1])
for line in sys.stdin:
    if line == "fork\\n":
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            sys.stdin.close()
            while True:
                __import__("time").sleep(60)
    else:
        print(election.elected(), flush=True)
"""


class Candidate:
    """Another process, which stands when it is asked to."""

    def __init__(self, purpose: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CANDIDATE, purpose], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def elected(self) -> bool:
        return self.ask("elected") == "True"

    def kill(self) -> None:
        """Its pipes are not read to their end: a child of its may hold them."""
        with self.process:
            self.process.kill()


@contextmanager
def candidates(purpose: str, count: int) -> Iterator[list[Candidate]]:
    found = [Candidate(purpose) for _ in range(count)]
    try:
        yield found
    finally:
        for one in found:
            one.kill()


@pytest.fixture
def purpose() -> str:
    return f"test {uuid.uuid4()}"


def test_one_is_elected_and_stays_it_until_it_is_killed(purpose: str) -> None:
    with candidates(purpose, 3) as (first, second, third):
        assert first.elected()
        assert [one.elected() for one in (second, third, first, third)] == [False, False, True, False]
        first.kill()
        assert third.elected()
        assert [one.elected() for one in (second, third)] == [False, True]


def test_a_child_does_not_keep_what_its_parent_had(purpose: str) -> None:
    with candidates(purpose, 2) as (parent, other):
        assert parent.elected()
        child = int(parent.ask("fork"))
        try:
            assert not other.elected()
            parent.kill()
            assert other.elected()
        finally:
            os.kill(child, signal.SIGKILL)


def test_who_leaves_lets_another_one_and_says_what_it_was_to_the_end(purpose: str) -> None:
    leaves, stays, late = Election(purpose), Election(purpose), Election(purpose)
    assert leaves.elected()
    assert not stays.elected()
    late.leave()
    leaves.leave()
    assert not late.elected()
    assert stays.elected()
    assert leaves.elected()
    assert not late.elected()
    stays.leave()


def test_who_never_won_has_not_won_by_leaving(purpose: str) -> None:
    election = Election(purpose)
    election.leave()
    assert not election.elected()


def test_purposes_have_one_each(purpose: str) -> None:
    one, other = Election(purpose), Election(f"{purpose} too")
    assert one.elected()
    assert other.elected()
    one.leave()
    other.leave()


def test_who_has_its_files_closed_stands_again_and_leaves_those_of_others_alone(purpose: str, tmp_path: Path) -> None:
    """As a program that becomes a daemon closes all there are."""
    election, other = Election(purpose), Election(purpose)
    assert election.elected()
    assert election._held is not None
    number = election._held.fileno()
    os.close(number)
    with (tmp_path / "of the program").open("w") as file:
        assert file.fileno() == number
        assert election.elected()
        assert not other.elected()
        os.close(election._held.fileno())
        with (tmp_path / "another").open("w") as second:
            election.leave()
            for each in (file, second):
                assert each.write("it is open")
                each.flush()

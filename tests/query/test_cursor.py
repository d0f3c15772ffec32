"""Cursors: opaque, bound to their question, and stable under inserts."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.query import cursor
from sonde.query.cursor import Cursor
from sonde.query.errors import InvalidCursor
from sonde.query.times import TimeRange

RANGE = TimeRange(10, 20)
ASKED = cursor.digest("spans", "cart")


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 100))
def test_a_cursor_reads_back_the_same(time: int, tie: int, skip: int) -> None:
    found = Cursor(RANGE, (time, tie), skip, ASKED)
    assert cursor.decode(found.encode(), ASKED, (int, int)) == found


def test_a_cursor_of_another_question_is_refused() -> None:
    text = Cursor(RANGE, (1, 2), 1, ASKED).encode()
    with pytest.raises(InvalidCursor, match="another question"):
        cursor.decode(text, cursor.digest("spans", "checkout"), (int, int))


def test_a_key_may_hold_text() -> None:
    found = Cursor(RANGE, ("http.server.duration", 7), 1, ASKED)
    assert cursor.decode(found.encode(), ASKED, (str, int)) == found
    with pytest.raises(InvalidCursor):
        cursor.decode(found.encode(), ASKED, (int, int))


def forged(values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "====",
        "a" * 9000,
        forged([1, 10, 20, ["\ud800", 2], 0, ASKED]),
        forged({}),
        forged([]),
        forged(None),
        forged([1, 10, 20, [1], 0, ASKED]),
        forged([2, 10, 20, [1, 2], 0, ASKED]),
        forged([1, 20, 10, [1, 2], 0, ASKED]),
        forged([1, 10, 20, [1, "2"], 0, ASKED]),
        forged([1, 10, 20, [1, True], 0, ASKED]),
        forged([1, 10, 20, [1, -2], 0, ASKED]),
        forged([1, 10, 2**64, [1, 2], 0, ASKED]),
        forged([1, 10, 20, [1, 2.5], 0, ASKED]),
        forged([1, 10, 20, "ab", 0, ASKED]),
        forged([1, 10, 20, [1, 2], 0, [[[]]]]),
    ],
)
def test_what_was_not_given_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursor.decode(text, ASKED, (int, int))


@given(st.text(max_size=100))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursor.decode(text, ASKED, (int, int))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=40),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=10),
    st.integers(1, 7),
)
def test_pages_give_each_row_once_while_others_arrive(
    rows: list[tuple[int, int]], late: list[tuple[int, int]], limit: int
) -> None:
    """Pages in memory as the SQL takes them: keys at or below the cursor's, newest first, `skip` of them left out."""
    stored = list(rows)
    taken: list[tuple[int, int]] = []
    before: Cursor | None = None
    while True:
        ordered = sorted(stored, reverse=True)
        if before:
            ordered = [row for row in ordered if row <= before.key][before.skip :]
        found, text = cursor.page(ordered[: limit + 1], limit, lambda row: row, before, RANGE, ASKED)
        taken.extend(found)
        if text is None:
            break
        before = cursor.decode(text, ASKED, (int, int))
        if late:
            stored.append(late.pop())
    for row in set(rows):
        assert taken.count(row) >= rows.count(row), "none is lost"
        assert taken.count(row) <= stored.count(row), "none is given twice"

"""Newest-first pages of `spans` and `logs`.

Two steps, so that wide columns are read for the rows of the page alone. First only the times of the newest matching rows
are found, in windows of the range that grow backwards from its end: a page of recent rows touches recent data only, and a
search for something rare reads the whole range once. Then the rows at exactly those times are read, in a total order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sonde.query import cursor as cursors
from sonde.query import filters as conditions
from sonde.query.cursor import Cursor
from sonde.query.filters import Filter
from sonde.query.reader import Reader, Row, row_hash, select_list
from sonde.query.times import TimeRange
from sonde.storage.schema import Table

WINDOW_SHARES = (256, 16, 1)
"""The newest 1/256 of the range first, then back to 1/16, then all the rest."""

KEY = (int, int)
"""What a cursor's key holds: the time and the tie of a row."""


@dataclass(frozen=True, slots=True)
class Search:
    """A question for one page. `question` is its digest (`cursor.digest`); `before` the cursor it goes on from."""

    table: Table
    filters: Sequence[Filter | None]
    range: TimeRange
    limit: int
    question: str
    before: Cursor | None = None


def windows(range: TimeRange, end_nano: int) -> Iterator[TimeRange]:
    """`range` up to `end_nano`, in pieces from the newest to the oldest."""
    length = range.end_nano - range.start_nano
    end = end_nano
    for share in WINDOW_SHARES:
        start = max(range.start_nano, end_nano - length // share)
        if start < end:
            yield TimeRange(start, end)
            end = start


def find(reader: Reader, search: Search) -> tuple[Sequence[Row], str | None]:
    """Up to `limit` rows, newest first, and the cursor of the next page (None on the last).

    Rows have the columns of `select_list` and `tie`, which with `time` orders them totally but for identical ones.
    """
    before = search.before
    times = newest_times(reader, search, before.key[0] if before else search.range.end_nano)
    if before:
        times.add(before.key[0])
    rows = read(reader, search, times) if times else []
    return cursors.page(
        rows, search.limit, lambda row: (row["time"], row["tie"]), before, search.range, search.question
    )


def newest_times(reader: Reader, search: Search, end_nano: int) -> set[int]:
    """The times of the newest limit + 1 matching rows before `end_nano`."""
    found: list[int] = []
    for window in windows(search.range, end_nano):
        where, params = conditions.join([conditions.between(window), *search.filters])
        sql = f"""
            SELECT time
            FROM {search.table.name}
            WHERE tenant = {{tenant:String}}
              AND {where}
            ORDER BY time DESC
            LIMIT {{rows:UInt64}}
        """
        missing = search.limit + 1 - len(found)
        found += [row["time"] for row in reader.rows(sql, {**params, "rows": missing})]
        if len(found) > search.limit:
            break
    return set(found)


def read(reader: Reader, search: Search, times: set[int]) -> list[Row]:
    """The first limit + 1 matching rows at `times`, after those the cursor has given out already.

    PREWHERE is written out: left to choose, the engine reads maps of many more rows first (up to seven times slower).
    """
    at, at_params = at_times(times)
    where, params = conditions.join([before_cursor(search.before), *search.filters])
    sql = f"""
        SELECT
          {select_list(search.table)},
          {row_hash(search.table)} AS tie
        FROM {search.table.name}
        PREWHERE tenant = {{tenant:String}}
          AND {at}
        WHERE {where}
        ORDER BY time DESC, tie DESC
        LIMIT {{rows:UInt64}}
        OFFSET {{skip:UInt64}}
    """
    skip = search.before.skip if search.before else 0
    return reader.rows(sql, {**params, **at_params, "rows": search.limit + 1, "skip": skip})


def at_times(times: set[int]) -> Filter:
    """Rows at exactly `times`; the range beside the set lets the primary key and the partitions prune."""
    whole = conditions.between(TimeRange(min(times), max(times) + 1))
    clause = "time IN (SELECT fromUnixTimestamp64Nano(arrayJoin({times:Array(Int64)}), 'UTC'))"
    return Filter(f"{whole.clause} AND {clause}", {**whole.params, "times": sorted(times)})


def before_cursor(before: Cursor | None) -> Filter | None:
    """Rows at or after the cursor's key in newest-first order."""
    if before is None:
        return None
    moment = "fromUnixTimestamp64Nano({before_time:Int64}, 'UTC')"
    clause = f"(time < {moment} OR time = {moment} AND tie <= {{before_tie:UInt64}})"
    return Filter(clause, {"before_time": before.key[0], "before_tie": before.key[1]})

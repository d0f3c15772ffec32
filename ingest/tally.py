"""What a scan counts and the limits it judges by, as the int64 arrays that kernels take.

One tally serves the three signals: its head is the same for all, from `OWN` on each signal has its own places. AnyValues are
counted by kind: the field number of the value that is set, 0 where none is, KEYED where the KeyValue names its key by index.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from sonde.ingest.kernel import inline, kernel
from sonde.ingest.limits import Limits, Reason
from sonde.storage.columns import I64

SEEN = 0
ACCEPTED = 1
FIRST_REJECTED = 2
"""Byte offset of the first refused record, -1 where there is none."""
REPEATED = 3
"""Singular message fields that stand more than once: the scanner of the request must merge them first (`scan.merged`)."""
ARENA = 4
"""Bytes that JSON text made from the records may take."""
RESOURCES = 5
SCOPES = 6
VERDICTS = 7
"""How many verdicts there is room for."""
REJECTED = 8
"""Refused records by Reason, from here on."""
OWN = 24
DIMENSIONS = 84
"""Attributes of resources and scopes by kind; no row column is made of them."""
SIZE = 96

KINDS = 10
KEYED = 9

NESTING = 512
"""Words of `frames`, the kernels' scratch array, that the walk through a nested value takes; behind them, two saved tallies."""
RESOURCE_SAVED = NESTING
SCOPE_SAVED = RESOURCE_SAVED + SIZE
FRAMES = SCOPE_SAVED + SIZE

NO_REASON = 99
"""The verdict on a record that is kept. A record with several faults is counted under the least Reason."""

MAX_AGE = 0
MAX_FUTURE = 1
MAX_ATTRIBUTES = 2
MAX_EVENTS = 3
MAX_LINKS = 4
MAX_BUCKETS = 5
MAX_EXEMPLARS = 6
MAX_VALUE = 7
MAX_DEPTH = 8

TOO_OLD = int(Reason.TOO_OLD)
IN_THE_FUTURE = int(Reason.IN_THE_FUTURE)
TOO_MANY_ATTRIBUTES = int(Reason.TOO_MANY_ATTRIBUTES)
VALUE_TOO_LONG = int(Reason.VALUE_TOO_LONG)

DEEPEST = 32
"""Nesting of AnyValue beyond which the C parser gives up on the deepest message that holds one, whatever the limits say."""


def new_tally() -> I64:
    tally = np.zeros(SIZE, np.int64)
    tally[FIRST_REJECTED] = -1
    return tally


@lru_cache(16)
def limits_array(limits: Limits, deepest: int = DEEPEST) -> I64:
    """`limits` by the MAX_* indices above; ages in nanoseconds, 0 for no bound. The same array every time: read only."""
    return np.array(
        [
            min(limits.max_age_seconds * 1_000_000_000, 1 << 62),
            min(limits.max_future_seconds * 1_000_000_000, 1 << 62),
            limits.max_attributes,
            limits.max_events,
            limits.max_links,
            limits.max_buckets,
            limits.max_exemplars,
            limits.max_value_bytes,
            min(limits.max_depth, deepest),
        ],
        np.int64,
    )


def new_frames() -> I64:
    return np.zeros(FRAMES, np.int64)


@inline
def save_tally(tally: Any, frames: Any, at: int) -> Any:
    for i in range(SIZE):
        frames[at + i] = tally[i]


@inline
def restore_tally(tally: Any, frames: Any, at: int) -> Any:
    for i in range(SIZE):
        tally[i] = frames[at + i]


@inline
def judge_time(time: int, received: int, limits: Any) -> Any:
    """The verdict on a row's time, ns: older or newer than the limits allow, or beyond what 63 bits hold."""
    if time < 0:
        return IN_THE_FUTURE
    if limits[MAX_AGE] > 0 and time < received - limits[MAX_AGE]:
        return TOO_OLD
    if limits[MAX_FUTURE] > 0 and time > received + limits[MAX_FUTURE]:
        return IN_THE_FUTURE
    return NO_REASON


@inline
def judge_text(length: int, limits: Any) -> Any:
    return VALUE_TOO_LONG if length > limits[MAX_VALUE] else NO_REASON


@kernel
def count_record(verdict: int, at: int, tally: Any, verdicts: Any) -> Any:
    """Note the verdict on the record at byte `at`; also in `verdicts` (uint8, one a record in wire order) as far as asked."""
    record = tally[SEEN]
    tally[SEEN] = record + 1
    if record < tally[VERDICTS]:
        verdicts[record] = verdict
    if verdict == NO_REASON:
        tally[ACCEPTED] += 1
    else:
        tally[REJECTED + verdict] += 1
        if tally[FIRST_REJECTED] < 0:
            tally[FIRST_REJECTED] = at

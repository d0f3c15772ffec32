"""Which series of one tenant were seen lately, and how many of each metric: two open-addressing tables in one array of words.

    words   = HEADER words, series, metrics
    series  = slots x (series_id, note)             note: metric slot << 32 | second of Unix time at which it was last seen
    metrics = metric slots x (hash of the name, series counted)

All words are uint64. A pair that begins with 0 is free, and a hash that is 0 is taken for 1. A series not seen for the window is
*stale*: it keeps its slot, and counts, until `copy_fresh` makes a new table without it. So nothing is ever taken out, and a reader
needs no lock: at worst it takes a series for unknown that was put in just now. The time is noted anew once it is a part (STEPS) of
the window old, so the pages of a table are seldom written.

The words may lie in a file that processes share (series_file.py) and that a crash left in any state: slots are masked and walks
bounded, so no word leads astray, and what is counted wrongly is right again after the next `copy_fresh`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.fingerprint import mix
from sonde.ingest.kernel import inline, kernel, pointer
from sonde.ingest.metric_identity import POINT_NAME, POINT_SERIES, POINT_WORDS
from sonde.ingest.tally import NO_REASON
from sonde.storage.columns import U8, U64

HEADER = 16
MAGIC, REPLACED, SEED, SLOTS, METRIC_SLOTS, USED, METRICS_USED, SWEPT = range(8)
"""Words of the header. REPLACED: not 0 where another table is taking this one's place. USED, METRICS_USED: slots taken, stale
ones too. SWEPT: second at which the table was made."""
FIRST_SLOTS = 1 << 9
FULLEST = 0.7
FULL_WHEN_MADE = 0.52
"""With 16 bytes a slot, a table takes 23 to 62 bytes a series."""
STEPS = 16

OVER_METRIC, OVER_TENANT = 1, 2
"""Why a point is refused: its metric has as many series as it may, or its tenant has."""

DONE, FULL, TO_SWEEP = range(3)
"""Why `admit_points` came back: all are judged, there must be a larger table first, or one without what is stale."""

LOW = np.uint64(0xFFFF_FFFF)
SHIFT = np.uint64(32)


def words_of(slots: int, metric_slots: int) -> int:
    """The length of a table."""
    return HEADER + 2 * slots + 2 * metric_slots


def first_unseen(points: U64, verdicts: U8, words: U64, slots: int, now: int, window: int) -> int:
    """The first point that a table does not know, or whose series' time is to be noted anew; len(points) where there is none.

    `points`: as series_of_points gives them; those with a verdict count as seen. Needs no lock."""
    return int(find_unseen(points.reshape(-1), verdicts, words, slots, now, window))


@inline
def slot_of(words: Any, base: int, slots: int, key: int, seed: int) -> Any:
    """The slot that `key` has among the `slots` pairs at `base`, or the free one where it would go; -1 where there is neither.
    Seeded, so that nobody outside can make ids collide."""
    mask = slots - 1
    slot = np.int64(mix(key ^ seed, np.uint64(0x9E3779B97F4A7C15))) & mask
    for _ in range(slots):
        there = words[base + 2 * slot]
        if there == key or there == 0:
            return slot
        slot = (slot + 1) & mask
    return -1


@inline
def hash_of(word: int) -> Any:
    """The word as a key: never 0."""
    return word if word != 0 else np.uint64(1)


@inline
def age_of(note: int, now: int) -> Any:
    """Seconds since the time of a note; below zero where the clock was set back."""
    return now - np.int64(note & LOW)


@kernel
def find_unseen(points: Any, verdicts: Any, table: Any, slots: int, now: int, window: int) -> Any:
    """What first_unseen is."""
    rows, judged, words = pointer(points), pointer(verdicts), pointer(table)
    seed, step = words[SEED], window // STEPS
    for point in range(len(verdicts)):
        if judged[point] != NO_REASON:
            continue
        key = hash_of(rows[point * POINT_WORDS + POINT_SERIES])
        slot = slot_of(words, HEADER, slots, key, seed)
        if slot < 0 or words[HEADER + 2 * slot] != key:
            return point
        age = age_of(words[HEADER + 2 * slot + 1], now)
        if age < 0 or age > step:
            return point
    return len(verdicts)


@kernel
def admit_points(
    points: Any,
    verdicts: Any,
    first: int,
    table: Any,
    slots: int,
    metric_slots: int,
    now: int,
    window: int,
    most: int,
    most_of_metric: int,
    refused: Any,
) -> Any:
    """Judge the points from `first` on: put the series of those that may come into the table, OVER_* of the others into `refused`.

    `most`, `most_of_metric`: series of the tenant and of each metric; 0 for no limit. The point at which it stopped, and why.
    """
    rows, judged, words, out = pointer(points), pointer(verdicts), pointer(table), pointer(refused)
    seed, step, metrics = words[SEED], window // STEPS, HEADER + 2 * slots
    for point in range(first, len(verdicts)):
        if judged[point] != NO_REASON:
            continue
        key = hash_of(rows[point * POINT_WORDS + POINT_SERIES])
        slot = slot_of(words, HEADER, slots, key, seed)
        if slot < 0:
            return point, FULL
        at = HEADER + 2 * slot
        if words[at] == key:
            note = words[at + 1]
            if age_of(note, now) != 0:
                words[at + 1] = note & ~LOW | np.uint64(now)
            continue
        name = hash_of(rows[point * POINT_WORDS + POINT_NAME])
        metric = slot_of(words, metrics, metric_slots, name, seed)
        if metric < 0:
            return point, FULL
        of_metric = metrics + 2 * metric
        series = np.int64(words[of_metric + 1]) if words[of_metric] == name else 0
        over = OVER_METRIC if most_of_metric > 0 and series >= most_of_metric else 0
        if over == 0 and most > 0 and np.int64(words[USED]) >= most:
            over = OVER_TENANT
        if over != 0:
            if abs(now - np.int64(words[SWEPT])) > step:
                return point, TO_SWEEP
            out[point] = over
            continue
        if not has_room(words[USED], slots) or not has_room(words[METRICS_USED], metric_slots):
            return point, FULL
        if words[of_metric] == 0:
            words[of_metric] = name
            words[METRICS_USED] += np.uint64(1)
        words[of_metric + 1] = np.uint64(series + 1)
        words[at + 1] = np.uint64(metric) << SHIFT | np.uint64(now)
        words[at] = key
        words[USED] += np.uint64(1)
    return len(verdicts), DONE


@inline
def has_room(used: int, slots: int) -> Any:
    return np.int64(used) + 1 <= slots * FULLEST


@kernel
def count_fresh(table: Any, slots: int, now: int, window: int) -> Any:
    """How many series are not stale."""
    words, fresh = pointer(table), 0
    for slot in range(slots):
        at = HEADER + 2 * slot
        fresh += words[at] != 0 and abs(age_of(words[at + 1], now)) <= window
    return fresh


@kernel
def copy_fresh(
    old: Any, old_slots: int, old_metric_slots: int, new: Any, slots: int, metric_slots: int, now: int, window: int
) -> Any:
    """Put into the empty table `new`, whose header is made, the series of `old` that are not stale."""
    words, out = pointer(old), pointer(new)
    seed, mask = out[SEED], np.uint64(old_metric_slots - 1)
    for place in range(old_slots):
        key, note = words[HEADER + 2 * place], words[HEADER + 2 * place + 1]
        if key == 0 or abs(age_of(note, now)) > window:
            continue
        name = words[HEADER + 2 * old_slots + 2 * np.int64(note >> SHIFT & mask)]
        slot = slot_of(out, HEADER, slots, key, seed)
        metric = slot_of(out, HEADER + 2 * slots, metric_slots, name, seed)
        if name == 0 or slot < 0 or metric < 0:
            continue
        of_metric = HEADER + 2 * slots + 2 * metric
        out[METRICS_USED] += np.uint64(out[of_metric] == 0)
        out[of_metric] = name
        out[of_metric + 1] += np.uint64(1)
        out[HEADER + 2 * slot] = key
        out[HEADER + 2 * slot + 1] = np.uint64(metric) << SHIFT | note & LOW
        out[USED] += np.uint64(1)

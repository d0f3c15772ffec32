"""What the samples of windows come to: enough for the functions of whole windows, without the samples.

Windows are left-open and right-closed as those of PromQL, and named by their right edges, which are multiples of their width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.summary_kernels import count_windows, merge_windows, summarize_windows
from sonde.query.promql.values import Bools, Floats, Ints, Samples, plain
from sonde.query.promql.windows import STALE, stale


@dataclass(frozen=True, slots=True)
class Summaries:
    """Windows of n series of floats, by series and end; one without any sample or stale marker is left out."""

    labels: LabelTable
    """n series."""
    width_ms: int
    offsets: Ints
    """(n + 1,), ascending from 0."""
    ends: Ints
    """(m,) ms, the right edges."""
    counts: Ints
    """(m,) samples that are no stale markers: all but `stale_times` is of these, and means nothing where there are none."""
    first_times: Ints
    firsts: Floats
    last_times: Ints
    lasts: Floats
    sums: Floats
    minima: Floats
    """NaN only where there is nothing else."""
    maxima: Floats
    losses: Floats
    """What a counter had counted whenever it was reset between the first sample and the last."""
    first_starts: Ints
    """(m,) start time of the first sample, 0 where unknown."""
    last_starts: Ints
    stale_times: Ints
    """(m,) time of the last stale marker where it is later than the last sample, else 0."""
    overlaps: Ints
    """(m,) 1 where a sample began to count before the one before it was taken, and not when that one did; else 0."""


def summarize(samples: Samples, width_ms: int) -> Summaries:
    """The windows of samples without histograms."""
    counts = np.zeros(samples.labels.size, np.int64)
    times, offsets = plain(samples.times), plain(samples.offsets)
    count_windows(times, offsets, width_ms, counts)
    windows = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    found = empty(samples.labels, width_ms, windows)
    starts = np.zeros(0, np.int64) if samples.start_times is None else plain(samples.start_times)
    given = (times, plain(samples.values), plain(stale(samples)), starts, offsets, width_ms)
    summarize_windows(*given, *(getattr(found, name) for name in FLAT))
    return found


FLAT = tuple(each.name for each in fields(Summaries) if each.name not in ("labels", "width_ms", "offsets"))
"""The arrays that have a place for each window."""
MEASURES = ("firsts", "lasts", "sums", "minima", "maxima", "losses")
"""Those of them that are floats."""


def empty(labels: LabelTable, width_ms: int, offsets: Ints) -> Summaries:
    """Windows of which nothing is known yet."""
    arrays: dict[str, Any] = {
        name: np.zeros(offsets[-1], np.float64 if name in MEASURES else np.int64) for name in FLAT
    }
    return Summaries(labels, width_ms, offsets, **arrays)


def where(found: Summaries, kept: Bools) -> Summaries:
    """Only these windows; a series that loses all of them stays."""
    if kept.all():
        return found
    offsets = np.concatenate(([0], np.cumsum(kept)))[found.offsets]
    return replace(found, offsets=offsets, **{name: getattr(found, name)[kept] for name in FLAT})


def series_of(found: Summaries, rows: slice) -> Summaries:
    """The windows of some series, as views."""
    begin, end = found.offsets[rows.start], found.offsets[rows.stop]
    return replace(
        found,
        labels=found.labels.take(np.arange(rows.start, rows.stop)),
        offsets=found.offsets[rows.start : rows.stop + 1] - begin,
        **{name: getattr(found, name)[begin:end] for name in FLAT},
    )


def latest(found: Summaries) -> Samples:
    """The last sample of each window, or the stale marker behind it: what an instant at the end of the window finds."""
    ended = found.stale_times != 0
    return Samples(
        found.labels,
        plain(found.offsets),
        np.where(ended, found.stale_times, found.last_times),
        np.where(ended, STALE.view(np.float64), found.lasts),
        None,
        plain(found.last_starts),
    )


def coarser(summaries: Summaries, width_ms: int) -> Summaries:
    """Wider windows made of these, whose width divides theirs; those of a series that end at the same time become one."""
    arrays = [getattr(summaries, name).copy() for name in FLAT]
    windows = np.zeros_like(summaries.offsets)
    merge_windows(*arrays, plain(summaries.offsets), width_ms, windows)
    size = int(windows[-1])
    return Summaries(summaries.labels, width_ms, windows, *(array[:size].copy() for array in arrays))

"""Summaries put together: windows of the same series from several places, and series with the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus import kernels
from sonde.query.promql.label_groups import groups_of
from sonde.query.promql.labels import concatenated
from sonde.query.promql.summaries import FLAT, Summaries, coarser

Ints = NDArray[np.int64]


def in_order(pieces: Sequence[Summaries]) -> Summaries:
    """Windows of the same series, none of them twice, by their ends."""
    pieces = [pieces[0], *(piece for piece in pieces[1:] if len(piece.ends))]
    if len(pieces) == 1:
        return pieces[0]
    codes = np.concatenate([np.repeat(np.arange(piece.labels.size), np.diff(piece.offsets)) for piece in pieces])
    joint = replace(pieces[0], **{name: _joined(pieces, name) for name in FLAT})
    return _by_series(joint, codes, pieces[0].labels.size, joint.ends)


def one_of_each(pieces: Sequence[Summaries]) -> Summaries | None:
    """All series with windows, those with the same labels as one.

    None where two of the same labels have samples at the same time: then only the samples tell which one counts.
    """
    joint = _together(pieces)
    groups = groups_of(joint.labels)
    if groups.count < joint.labels.size:
        codes = np.repeat(groups.ids, np.diff(joint.offsets))
        begins, ends = spans(joint)
        joint = _by_series(replace(joint, labels=joint.labels.take(groups.firsts)), codes, groups.count, begins)
        begins, ends = spans(joint)
        followed = _followed(joint.offsets)
        if (followed & (begins[1:] <= ends[:-1])).any():
            return None
        if (followed & (joint.ends[1:] == joint.ends[:-1])).any():
            joint = coarser(joint, joint.width_ms)
    some = np.diff(joint.offsets) > 0
    if some.all():
        return joint
    offsets = np.concatenate((joint.offsets[:-1][some], joint.offsets[-1:]))
    return replace(joint, labels=joint.labels.take(some), offsets=offsets)


def spans(found: Summaries) -> tuple[Ints, Ints]:
    """The first and the last time of what each window stands for."""
    nothing = found.counts == 0
    return np.where(nothing, found.stale_times, found.first_times), np.maximum(found.last_times, found.stale_times)


def _followed(offsets: Ints) -> NDArray[np.bool_]:
    """(m - 1,) whether the next window is of the same series."""
    same = np.ones(max(int(offsets[-1]) - 1, 0), bool)
    last = offsets[1:-1] - 1
    same[last[(last >= 0) & (last < len(same))]] = False
    return same


def _together(pieces: Sequence[Summaries]) -> Summaries:
    """The series of one after another."""
    if len(pieces) == 1:
        return pieces[0]
    starts = np.cumsum([0, *(len(piece.ends) for piece in pieces)])
    offsets = [piece.offsets[:-1] + start for piece, start in zip(pieces, starts, strict=False)]
    return replace(
        pieces[0],
        labels=concatenated([piece.labels for piece in pieces]),
        offsets=np.concatenate([*offsets, starts[-1:]]),
        **{name: _joined(pieces, name) for name in FLAT},
    )


def _by_series(found: Summaries, codes: Ints, series: int, times: Ints) -> Summaries:
    """The windows, of which each belongs to the series `codes`, in the order of these and of `times`."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=series)))).astype(np.int64)
    order = kernels.rows_by_code(codes, offsets)
    times = times[order]
    kernels.sort_within(times, offsets, order)
    return _picked(found, order, offsets)


def _joined(pieces: Sequence[Summaries], name: str) -> Any:
    return np.concatenate([getattr(piece, name) for piece in pieces])


def _picked(found: Summaries, rows: Ints, offsets: Ints) -> Summaries:
    return replace(found, offsets=offsets, **{name: getattr(found, name)[rows] for name in FLAT})

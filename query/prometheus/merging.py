"""Answers put together: series with the same labels become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sonde.query.prometheus import kernels
from sonde.query.promql.label_groups import groups_of
from sonde.query.promql.labels import LabelTable, concatenated
from sonde.query.promql.values import Samples

Ints = NDArray[np.int64]


def merged(pieces: Sequence[Samples]) -> Samples:
    """All series with samples as one answer; series with the same labels become one, by time."""
    pieces = [piece for piece in pieces if len(piece.times)]
    if not pieces:
        nothing = np.zeros(0, np.int64)
        return Samples(LabelTable(0, {}), np.zeros(1, np.int64), nothing, np.zeros(0))
    joint = together(pieces)
    counts = np.diff(joint.offsets)
    groups = groups_of(joint.labels)
    if groups.count < joint.labels.size:
        return regrouped(joint, groups.ids, groups.firsts)
    some = counts > 0
    if some.all():
        return joint
    return replace(joint, labels=joint.labels.take(some), offsets=np.concatenate(([0], np.cumsum(counts[some]))))


def together(pieces: Sequence[Samples]) -> Samples:
    """The series of one answer after another."""
    if len(pieces) == 1:
        return pieces[0]
    ends = np.cumsum([0, *(len(piece.times) for piece in pieces)])
    offsets = [piece.offsets[:-1] + end for piece, end in zip(pieces, ends, strict=False)]
    histograms = None
    if any(piece.histograms is not None for piece in pieces):
        none = (np.full(len(piece.times), None, object) for piece in pieces)
        histograms = np.concatenate(
            [empty if piece.histograms is None else piece.histograms for piece, empty in zip(pieces, none, strict=True)]
        )
    starts = [np.zeros_like(piece.times) if piece.start_times is None else piece.start_times for piece in pieces]
    return Samples(
        concatenated([piece.labels for piece in pieces]),
        np.append(np.concatenate(offsets), ends[-1]),
        np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        histograms,
        np.concatenate(starts),
    )


def regrouped(joint: Samples, group: Ints, firsts: Ints) -> Samples:
    """The series of a group as one. Of a time that several have, the last series' sample stays."""
    codes = np.repeat(group, np.diff(joint.offsets))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(firsts))))).astype(np.int64)
    order = kernels.rows_by_code(codes, offsets)
    times = joint.times[order]
    kernels.sort_within(times, offsets, order)
    single = np.ones(len(times), bool)
    kernels.mark_last_of_time(times, offsets, single)
    order = order[single]
    ends = np.concatenate(([0], np.cumsum(single)))[offsets]
    some = np.diff(ends) > 0
    return Samples(
        joint.labels.take(firsts[some]),
        np.append(ends[:-1][some], ends[-1]),
        joint.times[order],
        joint.values[order],
        None if joint.histograms is None else joint.histograms[order],
        None if joint.start_times is None else joint.start_times[order],
    )

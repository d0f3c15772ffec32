"""Aggregations that select: some series of each group stay, with their own labels and values."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import xxhash
from sonde.query.promql import annotations as texts
from sonde.query.promql.annotations import Annotations
from sonde.query.promql.answer import take
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.float_text import shortest_g
from sonde.query.promql.group_kernels import select_groups
from sonde.query.promql.label_groups import Groups
from sonde.query.promql.labels import LabelTable
from sonde.query.promql.selection import nothing
from sonde.query.promql.syntax import Aggregate, Paren
from sonde.query.promql.values import Bools, Floats, Ints, Scalar, Vector, plain
from sonde.query.promql.windows import is_histogram


def _largest(expr: Aggregate, vector: Vector, groups: Groups, param: Scalar, annotations: Annotations) -> Vector:
    """topk and bottomk: NaN comes last in both; of equal values the earlier series stays."""
    k = _whole_numbers(param, len(groups.ids))
    if k.max(initial=0) < 1:
        return nothing(vector.values.shape[1])
    present = vector.present & (k >= 1)
    if vector.histograms is not None:
        ignored = present & is_histogram(vector.histograms)
        if ignored.any():
            annotations.info(texts.histogram_ignored_in_aggregation(expr.op), expr.span)
        present &= ~ignored
    chosen = _chosen(vector.values, present, groups, k, largest=expr.op == "topk")
    result = replace(vector, present=chosen, histograms=None)
    if vector.values.shape[1] > 1:
        return result
    rows = np.flatnonzero(chosen[:, 0])
    values, nans = sort_keys(vector.values[rows, 0], descending=expr.op == "topk")
    return take(result, rows[np.lexsort((values, nans, groups.ids[rows]))])


def _chosen(values: Floats, present: Bools, groups: Groups, k: Ints, *, largest: bool) -> Bools:
    """(n, s) whether a cell is among the k largest, or smallest, of its group at its step."""
    order = np.argsort(groups.ids, kind="stable")
    starts = np.searchsorted(groups.ids[order], np.arange(groups.count + 1))
    by_step = plain(values.T), plain(present.T)
    chosen = np.zeros(by_step[1].shape, bool)
    select_groups(*by_step, order, starts, k, largest, chosen)
    return plain(chosen.T)


def sort_keys(values: Floats, descending: bool) -> tuple[Floats, Bools]:
    """Keys by which the values sort, and which of them are NaN, which sort last."""
    return (-values if descending else values), np.isnan(values)


def _first(expr: Aggregate, vector: Vector, groups: Groups, param: Scalar, annotations: Annotations) -> Vector:
    """limitk: any k series of each group; here the first ones."""
    k = _whole_numbers(param, len(groups.ids))
    if k.max(initial=0) < 1:
        return nothing(vector.values.shape[1])
    order = np.argsort(groups.ids, kind="stable")
    before: Ints = np.cumsum(vector.present[order], axis=0) - vector.present[order]
    starts = np.searchsorted(groups.ids[order], groups.ids[order])
    ranks = np.empty(before.shape, np.int64)
    ranks[order] = before - before[starts]
    return replace(vector, present=vector.present & (ranks < k))


def _whole_numbers(param: Scalar, most: int) -> Ints:
    """(s,) the numbers that topk and its kin are given, no larger than there are series."""
    values = param.values
    if not (values >= 1).any() and not np.isnan(values).any():
        return np.zeros(len(values), np.int64)
    if np.isnan(values).any():
        raise EvaluationError("Parameter value is NaN")
    if values.min() <= -(2.0**63):
        raise EvaluationError(f"Scalar value {shortest_g(float(values.min()))} underflows int64")
    if values.max() >= 2.0**63:
        raise EvaluationError(f"Scalar value {shortest_g(float(values.max()))} overflows int64")
    return np.minimum(np.trunc(values), most).astype(np.int64)


def _ratio(expr: Aggregate, vector: Vector, groups: Groups, param: Scalar, annotations: Annotations) -> Vector:
    """limit_ratio: the series whose hash lies in this part of all hashes; a negative ratio takes the part that is left."""
    ratios = param.values
    if not ratios.any():
        return nothing(vector.values.shape[1])
    if np.isnan(ratios).any():
        raise EvaluationError("Ratio value is NaN")
    span = expr.param.expr.span if isinstance(expr.param, Paren) else expr.param.span  # type: ignore[union-attr]
    if ratios.max() > 1:
        annotations.warn(texts.invalid_ratio(float(ratios.max()), 1.0), span)
    if ratios.min() < -1:
        annotations.warn(texts.invalid_ratio(float(ratios.min()), -1.0), span)
    ratios = np.clip(ratios, -1, 1)
    places = label_places(vector.labels)[:, np.newaxis]
    chosen = np.where(ratios >= 0, places < ratios, places >= 1 + ratios) & (ratios != 0)
    return replace(vector, present=vector.present & chosen)


def label_places(labels: LabelTable) -> Floats:
    """(n,) a number from 0 to 1 for each series, by nothing but its labels: Prometheus' own hash of them."""
    hashes = [xxhash.xxh64_intdigest(_packed(row)) for row in labels.rows()]
    return np.array(hashes, np.uint64).astype(np.float64) / float(2**64 - 1)


def _packed(labels: dict[str, str]) -> bytes:
    """Names and values in order, each after its length, as Prometheus keeps them in memory."""
    return b"".join(_sized(text.encode("utf-8", "surrogateescape")) for pair in labels.items() for text in pair)


def _sized(text: bytes) -> bytes:
    return (bytes([len(text)]) if len(text) < 255 else b"\xff" + struct.pack("<I", len(text))[:3]) + text


SELECTIONS: Mapping[str, Callable[[Aggregate, Vector, Groups, Scalar, Annotations], Vector]] = {
    "topk": _largest,
    "bottomk": _largest,
    "limitk": _first,
    "limit_ratio": _ratio,
}

"""Series held in arrays, for expressions to be evaluated over: what `load` puts there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from histogram_text import from_classic, objects, stored
from series_text import Point, SeriesText, parse_series
from sonde.query.promql.histogram import Histogram
from sonde.query.promql.labels import NAME, LabelTable
from sonde.query.promql.regex import matched_rows
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples

Labels = tuple[tuple[str, str], ...]
Series = dict[int, tuple[Point, int]]
"""By time in ms: the point, and when its counter began (0 where unknown)."""


class MemorySource:
    """Immutable; `with_series` gives another one that holds more."""

    def __init__(self, series: dict[Labels, Series] | None = None) -> None:
        self._series = series or {}
        self._samples: Samples | None = None

    def with_series(self, lines: Iterable[SeriesText], interval_ms: int, *, nhcb: bool) -> MemorySource:
        """`nhcb`: classic histograms among the lines are there as native ones with custom buckets, too."""
        series = {labels: dict(points) for labels, points in self._series.items()}
        lines = list(lines)
        starts = {tuple(sorted(line.labels.items())): line.points for line in lines if line.is_starts}
        loaded: dict[Labels, Series] = {}
        for line in lines:
            if line.is_starts:
                continue
            labels = tuple(sorted(line.labels.items()))
            began = starts.get(labels, [])
            for index, point in enumerate(line.points):
                start = began[index] if index < len(began) else None
                if point is not None:
                    time = index * interval_ms
                    loaded.setdefault(labels, {})[time] = point, 0 if start is None else time + int(start)  # type: ignore[arg-type]
        for labels, points in [*loaded.items(), *(_native(loaded).items() if nhcb else ())]:
            series.setdefault(labels, {}).update(points)
        return MemorySource(series)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        samples = self._all()
        accepted = np.ones(samples.labels.size, bool)
        for matcher in matchers:
            accepted &= matched_rows(samples.labels.column(matcher.name), matcher)
        inside = np.repeat(accepted, np.diff(samples.offsets))
        inside &= (samples.times >= start_ms) & (samples.times <= end_ms)
        before = np.concatenate(([0], np.cumsum(inside)))
        counts = np.diff(before[samples.offsets])
        some = counts > 0
        histograms = None if samples.histograms is None else samples.histograms[inside]
        return Samples(
            samples.labels.take(some),
            np.concatenate(([0], np.cumsum(counts[some]))).astype(np.int64),
            samples.times[inside],
            samples.values[inside],
            histograms if histograms is not None and any(one is not None for one in histograms) else None,
            None if samples.start_times is None else samples.start_times[inside],
        )

    def _all(self) -> Samples:
        if self._samples is None:
            self._samples = _samples_of(self._series)
        return self._samples


def source_of(*lines: str, interval_ms: int = 60_000) -> MemorySource:
    """A source of series as scripts write them, their points from 0 on."""
    return MemorySource().with_series([parse_series(line) for line in lines], interval_ms, nhcb=False)


def _samples_of(series: dict[Labels, Series]) -> Samples:
    times: list[int] = []
    values: list[float] = []
    starts: list[int] = []
    histograms: list[Histogram | None] = []
    offsets = [0]
    ordered = dict(sorted(series.items()))
    for points in ordered.values():
        in_time = sorted(points.items())
        times += [time for time, _ in in_time]
        values += [0.0 if isinstance(point, Histogram) else float(point or 0.0) for _, (point, _) in in_time]
        starts += [start for _, (_, start) in in_time]
        histograms += stored(point if isinstance(point, Histogram) else None for _, (point, _) in in_time)
        offsets.append(len(times))
    return Samples(
        LabelTable.of([dict(labels) for labels in ordered]),
        np.array(offsets, np.int64),
        np.array(times, np.int64),
        np.array(values, np.float64),
        objects(histograms) if any(one is not None for one in histograms) else None,
        np.array(starts, np.int64) if any(starts) else None,
    )


def _native(loaded: dict[Labels, Series]) -> dict[Labels, Series]:
    """The native histograms with custom buckets of the classic ones among these series."""
    parts: dict[Labels, dict[int, dict[str, float]]] = {}
    for labels, points in loaded.items():
        row = dict(labels)
        name, suffix = _split(row.get(NAME, ""))
        bound = row.pop("le", "") if suffix == "_bucket" else ""
        if not suffix or (suffix == "_bucket" and not bound):
            continue
        key = tuple(sorted({**row, NAME: name}.items()))
        for time, (point, _) in points.items():
            if not isinstance(point, Histogram) and point is not None:
                parts.setdefault(key, {}).setdefault(time, {})[bound or suffix] = point
    return {labels: found for labels, times in parts.items() if (found := _histograms(times))}


def _split(name: str) -> tuple[str, str]:
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ""


def _histograms(times: dict[int, dict[str, float]]) -> Series:
    found: Series = {}
    for time, values in times.items():
        buckets = [(float(bound), value) for bound, value in values.items() if bound not in ("_sum", "_count")]
        if buckets:
            found[time] = from_classic(buckets, values.get("_count"), values.get("_sum", 0.0)), 0
    return found

"""The bound on series of a tenant and of a metric: what is beyond it is cut from the request at the door, and the sender told why.

A series is there from the first point of it that passes until none was seen for the window. While a tenant, or a metric, has as
many as it may, points of series that are not there are refused, and those of series that are there pass. So a label that never
repeats harms the metric that has it, and no other.

What is refused depends on what came before, which the writer can't know, so it must not be in the spool: the points are cut from
the request's bytes, what is left is scanned once more for its counts, and how many were cut stands in the frame under
TOO_MANY_SERIES.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sonde.ingest.config import IngestConfig
from sonde.ingest.label_values import NAMED, LabelValues, Metric
from sonde.ingest.limits import Limits, Reason
from sonde.ingest.metric_identity import POINT_NAME
from sonde.ingest.point_cut import without_points
from sonde.ingest.point_series import labels_of_metrics, read_only, series_of_points
from sonde.ingest.scan import Body, Scan, merged, scan, walk
from sonde.ingest.series_file import SeriesBounds, SeriesFiles, TenantSeries
from sonde.ingest.series_table import OVER_METRIC
from sonde.ingest.signals import Signal
from sonde.ingest.tally import NO_REASON
from sonde.storage.columns import U8, U64

FOLDER = "series"
"""In the spool folder."""
MOST_SERIES = 5_000_000
"""Of a tenant, where only metrics are bounded: what the table holds must be bounded too. It takes 270 MB then."""
TELL_AGAIN_SECONDS = 60
MOST_TOLD = 64
"""Warnings a minute in the log."""
ONE_POINT = b"\x0a\x08\x12\x06\x12\x04\x2a\x02\x0a\x00"
"""ResourceMetrics { ScopeMetrics { Metric { Gauge { NumberDataPoint {} } } } }"""
_log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """What may go to the spool. `over`: for each point of the request as it came, not 0 where it was cut; None where none was."""

    body: Body
    found: Scan
    over: U8 | None


class SeriesLimits:
    """One to a process; processes with the same `folder` count together. Thread-safe."""

    def __init__(self, folder: Path, bounds: SeriesBounds) -> None:
        self._bounds = replace(bounds, of_tenant=bounds.of_tenant or MOST_SERIES)
        warm()
        self._files = SeriesFiles(folder)
        self._files.remove_old(2 * bounds.window_seconds)
        self._labels = LabelValues(bounds.window_seconds)
        self._told: dict[tuple[str, int], int] = {}
        self._turn = threading.Lock()

    @classmethod
    def from_config(cls, config: IngestConfig) -> SeriesLimits | None:
        """None where no limit is set, and nothing is to be looked at."""
        bounds = bounds_of(config)
        return cls(config.spool_path / FOLDER, bounds) if bounds else None

    def apply(self, tenant: str, body: Body, found: Scan, limits: Limits, received_unix_nano: int) -> Kept:
        """The metrics request `body`, of which `found` is the scan by `limits`, without the points of series too many."""
        if not found.accepted:
            return Kept(body, found, None)
        whole = merged(Signal.METRICS, body) if found.repeated else body
        buffer, now = read_only(whole), received_unix_nano // 1_000_000_000
        points = series_of_points(buffer, found.records)
        verdicts = np.full(found.records, NO_REASON, np.uint8)
        if found.rejected_total:
            walk(Signal.METRICS, buffer, [len(buffer)], [received_unix_nano], limits, verdicts)
        over = self._files.of(tenant).judge(points, verdicts, now, self._bounds)
        if over is None:
            return Kept(body, found, None)
        why = self._explain(tenant, buffer, points[:, POINT_NAME], over, now)
        rest = without_points(buffer, over)
        return Kept(rest, _with_refused(scan(Signal.METRICS, rest, limits, received_unix_nano), found, over, why), over)

    def _explain(self, tenant: str, buffer: U8, names: U64, over: U8, now: int) -> str:
        """Which metrics have too many series, and which labels make them so. A line in the log, too, now and then."""
        refused, first, counts = np.unique(names[over != 0], return_index=True, return_counts=True)
        most = np.argsort(-counts, kind="stable")[:NAMED]
        why = over[over != 0][first]
        sentences = []
        with self._turn:
            metrics = self._labels.learn(tenant, buffer, refused[most], now)
            for name, reason in zip(refused[most].tolist(), why[most].tolist(), strict=True):
                sentence = self._too_many(tenant, metrics[name], reason)
                sentences.append(sentence)
                self._tell(tenant, name, sentence, now)
        if len(refused) > NAMED:
            sentences.append(f"and {len(refused) - NAMED} metrics more")
        return "; ".join(sentences)

    def _too_many(self, tenant: str, metric: Metric, reason: int) -> str:
        bounds, widest = self._bounds, metric.widest
        within = f"within {bounds.window_seconds} s, as many as it may"
        if reason == OVER_METRIC:
            what = f"metric {metric.name} has {bounds.of_metric:,} series {within} (setting max_series_per_metric)"
        else:
            what = f"tenant {tenant} has {bounds.of_tenant:,} series {within} (setting max_series); of metric {metric.name}"
        return f"{what}; label with most values: {widest}" if widest else what

    def _tell(self, tenant: str, name: int, sentence: str, now: int) -> None:
        if abs(now - self._told.get((tenant, name), -TELL_AGAIN_SECONDS)) < TELL_AGAIN_SECONDS:
            return
        if len(self._told) >= MOST_TOLD:
            self._told = {each: at for each, at in self._told.items() if abs(now - at) < TELL_AGAIN_SECONDS}
        if len(self._told) < MOST_TOLD:
            self._told[(tenant, name)] = now
            _log.warning("tenant %s: points of new series are refused: %s", tenant, sentence)


def bounds_of(config: IngestConfig) -> SeriesBounds | None:
    """What is set; None where nothing is."""
    if not config.max_series and not config.max_series_per_metric:
        return None
    return SeriesBounds(config.max_series, config.max_series_per_metric, config.series_window_seconds)


def warm() -> None:
    """Load the kernels, or compile them where this machine never did, before anybody waits."""
    buffer, cut = read_only(ONE_POINT), np.ones(1, np.uint8)
    points = series_of_points(buffer, 1)
    labels_of_metrics(buffer, points[:, POINT_NAME].copy(), 1)
    without_points(buffer, cut)
    two = np.array([[1, 1], [2, 1]], np.uint64)
    TenantSeries(None).judge(two, np.full(2, NO_REASON, np.uint8), 0, SeriesBounds(0, 1, 1))


def _with_refused(rest: Scan, found: Scan, over: U8, why: str) -> Scan:
    """`rest`, the scan of what is left of a request of which `found` was the scan, with the points that were cut."""
    cut = int(np.count_nonzero(over))
    rejected = list(rest.rejected)
    rejected[Reason.TOO_MANY_SERIES] += cut
    return replace(
        rest,
        records=rest.records + cut,
        rejected=tuple(rejected),
        first_rejected=found.first_rejected,
        too_many_series=why,
    )

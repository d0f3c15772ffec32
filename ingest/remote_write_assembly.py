"""One remote-write request on its way to become an OTLP one: what both versions have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sonde.ingest import metrics_fields as f
from sonde.ingest.errors import Malformed
from sonde.ingest.remote_write_histograms import histogram_metric, read_histogram
from sonde.ingest.remote_write_points import (
    Exemplar,
    Sample,
    check_exemplar,
    exemplars_field,
    number_point,
    point_of_exemplars,
    time_of,
)
from sonde.ingest.remote_write_refusals import Labels, Refusals, SeriesRefused
from sonde.ingest.remote_write_series import Family, Series, check_series, number_metric
from sonde.ingest.remote_write_wire import read_varint, signed

TIMESTAMP_BYTES = 6
"""Of the varint of any time from 1971 to 2109, in milliseconds."""
T = TypeVar("T")


@dataclass(slots=True)
class SentSeries:
    """A TimeSeries of either version, its symbols looked up."""

    labels: Labels
    samples: list[Sample] = field(default_factory=list)
    histograms: list[tuple[int, int]] = field(default_factory=list)
    """Where each one lies in the request."""
    exemplars: list[Exemplar] = field(default_factory=list)
    created_ms: int = 0
    """The start time of all that have none of their own."""

    @property
    def records(self) -> int:
        """Points that are made of it."""
        return len(self.samples) + len(self.histograms) or min(1, len(self.exemplars))


class Assembly:
    """The Metrics made so far, and what of the request was refused."""

    def __init__(self, data: bytes, max_buckets: int) -> None:
        self.data = data
        self.max_buckets = max_buckets
        self.metrics: list[bytes] = []
        self.refusals = Refusals()
        self.samples = self.histograms = self.exemplars = 0
        """How many are in `metrics`."""
        self._moments: dict[bytes, bytes] = {}

    def moment(self, raw: bytes) -> bytes | None:
        """What stands in a point between its attributes and the 8 bytes of its value, where this is the whole varint of its
        time; None where it is not, or no time of OTLP."""
        moment = self._moments.get(raw)
        if moment is None:
            try:
                value, stop = read_varint(raw, 0, len(raw))
                if stop == len(raw):
                    moment = b"%c%b%c" % (f.NUMBER_TIME, time_of(signed(value)), f.NUMBER_AS_DOUBLE)
                    self._moments[raw] = moment
            except (Malformed, SeriesRefused):
                return None
        return moment

    def add(self, sent: SentSeries, family: Family) -> Series | None:
        """Make the Metrics of a series; None where its labels are refused. What is wrong is noted in `refusals`."""
        try:
            series = check_series(sent.labels, family)
        except SeriesRefused as error:
            self.refusals.add(sent.labels, error, sent.records)
            return None
        exemplars = [each for each in sent.exemplars if self._passes(sent.labels, check_exemplar, each)]
        left = self._add_histograms(series, sent, exemplars)
        left = self._add_samples(series, sent, left)
        if left:
            self.metrics.append(number_metric(series, [point_of_exemplars(series, left)]))
        self.exemplars += len(exemplars)
        return series

    def _add_histograms(self, series: Series, sent: SentSeries, exemplars: Sequence[Exemplar]) -> Sequence[Exemplar]:
        """The exemplars that were not given to the last histogram, because there is none."""
        made: list[bytes] = []
        for start, stop in reversed(sent.histograms):
            try:
                found = read_histogram(self.data, start, stop, self.max_buckets)
                found.start_ms = found.start_ms or sent.created_ms
                made.append(histogram_metric(series, found, exemplars, self.max_buckets))
                exemplars = ()
            except SeriesRefused as error:
                self.refusals.add(sent.labels, error, 1)
        self.metrics += reversed(made)
        self.histograms += len(made)
        return exemplars

    def _add_samples(self, series: Series, sent: SentSeries, exemplars: Sequence[Exemplar]) -> Sequence[Exemplar]:
        """The exemplars that were not given to the last sample, because there is none."""
        good = [sample for sample in sent.samples if self._passes(sent.labels, check_time, sample)]
        if not good:
            return exemplars
        points = [number_point(series, sample, sample.start_ms or sent.created_ms) for sample in good]
        points[-1] += exemplars_field(f.NUMBER_EXEMPLARS, exemplars)
        self.metrics.append(number_metric(series, points))
        self.samples += len(good)
        return ()

    def _passes(self, labels: Labels, check: Callable[[T], None], each: T) -> bool:
        try:
            check(each)
        except SeriesRefused as error:
            self.refusals.add(labels, error, int(isinstance(each, Sample)))
            return False
        return True


def check_time(sample: Sample) -> None:
    time_of(sample.timestamp_ms)

"""Seeded series as scrapes see them, by kind, and the remote writes that bring them: one sample a series in each request.

| kind | |
|---|---|
| `counters` | whole numbers that grow by what a Poisson process counts; one in twenty stands still |
| `bytes` | gauges of whole pages of memory that wander, one in five for ever the same |
| `percents` | gauges with two digits after the point: load that follows the time of day, and noise |
| `noise` | gauges whose every bit is noise: nothing can be pressed out of them |
| `histograms` | classic histograms of ten buckets: `_bucket`, `_count` and `_sum` |

Timestamps are on a grid of their own for each target, to the millisecond, as Prometheus aligns them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cramjam
import numpy as np

from benchmarks.promql_data import BOUNDS, PARTS_OF_A_HISTOGRAM, Floats, Ints, Labels, field, samples

TARGETS = 40
SERIES_A_REQUEST = 2_000
"""Prometheus' own default of samples in a request (max_samples_per_send)."""
PAGE = 4_096
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Scraped:
    """n series with s samples each."""

    labels: list[Labels]
    """With `__name__`; those of a name stand together."""
    times_ms: Ints
    """(n, s)"""
    values: Floats
    """(n, s)"""

    def names(self) -> dict[str, int]:
        """How many series each name has."""
        found: dict[str, int] = {}
        for labels in self.labels:
            found[labels["__name__"]] = found.get(labels["__name__"], 0) + 1
        return found

    def part(self, place: int, parts: int) -> Scraped:
        """Every `parts`-th series."""
        return Scraped(self.labels[place::parts], self.times_ms[place::parts], self.values[place::parts])


def make(kind: str, series: int, samples: int, every_seconds: int, end_ms: int, seed: int) -> Scraped:
    """About `series` series, the newest samples within `every_seconds` before `end_ms`."""
    rng = np.random.default_rng(seed)
    labels, values = KINDS[kind](rng, series, samples, every_seconds)
    late = rng.integers(1, every_seconds * 1000, TARGETS)
    last = end_ms - late[np.arange(len(labels)) % TARGETS]
    times = last[:, np.newaxis] - np.arange(samples)[::-1] * every_seconds * 1000
    return Scraped(labels, times, values.astype(np.float64))


def counters(rng: np.random.Generator, series: int, samples: int, every: int) -> tuple[list[Labels], Floats]:
    rates = rng.gamma(1.0, 20.0, (series, 1)) * (rng.random((series, 1)) > 0.05)
    values = rng.integers(0, 1_000_000, (series, 1)) + np.cumsum(rng.poisson(rates, (series, samples)), axis=1)
    return [
        labelled("http_requests_total", i, code=str(200 + i % 5), route=f"/{i % 37}") for i in range(series)
    ], values


def resident(rng: np.random.Generator, series: int, samples: int, every: int) -> tuple[list[Labels], Floats]:
    moves = rng.normal(0, 50, (series, samples)).round() * (rng.random((series, 1)) > 0.2)
    pages = np.maximum(0, rng.integers(20_000, 500_000, (series, 1)) + np.cumsum(moves, axis=1))
    return [labelled("process_resident_memory_bytes", i) for i in range(series)], pages * PAGE


def percents(rng: np.random.Generator, series: int, samples: int, every: int) -> tuple[list[Labels], Floats]:
    day = np.sin(np.arange(samples) * every / DAY_SECONDS * 2 * np.pi)
    load = rng.uniform(10, 60, (series, 1)) + 10 * day + rng.normal(0, 3, (series, samples))
    return [labelled("cpu_usage_percent", i, cpu=str(i % 8)) for i in range(series)], load.clip(0, 100).round(2)


def noise(rng: np.random.Generator, series: int, samples: int, every: int) -> tuple[list[Labels], Floats]:
    return [labelled("noise", i) for i in range(series)], rng.normal(0, 1, (series, samples))


def histograms(rng: np.random.Generator, series: int, samples: int, every: int) -> tuple[list[Labels], Floats]:
    count = max(1, series // PARTS_OF_A_HISTOGRAM)
    shares = rng.dirichlet(np.ones(len(BOUNDS) + 1), (count, 1)) * rng.gamma(1.0, 20.0, (count, 1, 1))
    alone = np.cumsum(rng.poisson(shares, (count, samples, len(BOUNDS) + 1)), axis=1)
    seconds = np.cumsum((alone @ np.array([*BOUNDS, 10.0])) * rng.uniform(0.99, 1, (count, samples)), axis=1)
    below = np.cumsum(alone, axis=2)
    labels, values = [], []
    for bucket, bound in enumerate([*(f"{bound:g}" for bound in BOUNDS), "+Inf"]):
        labels += [labelled("request_duration_seconds_bucket", i, le=bound) for i in range(count)]
        values.append(below[:, :, bucket])
    labels += [labelled("request_duration_seconds_count", i) for i in range(count)]
    labels += [labelled("request_duration_seconds_sum", i) for i in range(count)]
    return labels, np.concatenate([*values, below[:, :, -1], seconds]).astype(np.float64)


KINDS: Mapping[str, Callable[[np.random.Generator, int, int, int], tuple[list[Labels], Floats]]] = {
    "counters": counters,
    "bytes": resident,
    "percents": percents,
    "noise": noise,
    "histograms": histograms,
}


def labelled(name: str, number: int, **others: str) -> Labels:
    target = number % TARGETS
    place = {"job": "shop", "instance": f"10.0.0.{target}:9090", "pod": f"cart-7d9f8b6c5-{target:05x}"}
    return {"__name__": name, "cluster": "eu-west-1", "namespace": "production", **place, "n": str(number), **others}


def writes(scraped: Scraped) -> Iterator[tuple[bytes, int]]:
    """Bodies of remote write 1.0 in snappy's block format, scrape by scrape, and how many samples each has."""
    slices = range(0, len(scraped.labels), SERIES_A_REQUEST)
    templates = [Template(scraped, slice(first, first + SERIES_A_REQUEST)) for first in slices]
    for sample in range(scraped.values.shape[1]):
        for template in templates:
            yield bytes(cramjam.snappy.compress_raw(template.at(sample))), len(template.places)


class Template:
    """The request of some series; from scrape to scrape only numbers of fixed width change."""

    def __init__(self, scraped: Scraped, rows: slice) -> None:
        self.times, self.values = scraped.times_ms[rows], scraped.values[rows]
        nothing = samples(np.zeros(1), self.times[:1, 0])
        self.width = len(nothing)
        fields = [field(1, head(labels) + nothing) for labels in scraped.labels[rows]]
        self.places = np.cumsum([len(each) for each in fields]) - self.width
        self.bytes = np.frombuffer(bytearray(b"".join(fields)), np.uint8)

    def at(self, sample: int) -> bytes:
        drawn = np.frombuffer(samples(self.values[:, sample], self.times[:, sample]), np.uint8)
        self.bytes[self.places[:, np.newaxis] + np.arange(self.width)] = drawn.reshape(-1, self.width)
        return self.bytes.tobytes()


def head(labels: Labels) -> bytes:
    """`repeated Label labels = 1` of a TimeSeries, names in order."""
    return b"".join(
        field(1, field(1, name.encode()) + field(2, text.encode())) for name, text in sorted(labels.items())
    )

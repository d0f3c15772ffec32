"""Seeded series of every shape that PromQL has rules for, as a remote write sends them to any server.

No sample lies on a whole second and questions are asked at whole seconds, so none is ever on the left edge of a window: that
edge belonged to it in Prometheus 2, and does not in 3. Counters begin far above zero: near it the two extrapolate differently
(`docs/decisions/promql.md`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from remote_write_messages import ONE, compressed, request_1, series_1
from sonde.query.promql.windows import STALE

BASE = 1_770_000_000
"""s; a multiple of 60."""
EVERY = 15
SAMPLES = 240
"""An hour of them."""
SLICE = 20
"""Samples of each series in one request: requests go forward in time, as Prometheus wants them."""
BOUNDS = (0.005, 0.05, 0.1, 0.5, 1.0, 2.5)
STALE_NAN = struct.unpack("<d", struct.pack("<q", int(STALE)))[0]
INSTANCES = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")

Labels = dict[str, str]
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """`values[i]` was taken about `BASE + i * EVERY`; None where there is no sample."""

    labels: Labels
    values: Sequence[Any]
    """Floats, or native histograms as a WriteRequest has them."""
    late_ms: int
    """How long after the whole seconds."""
    exemplars: tuple[tuple[int, Labels, float], ...] = ()
    """(which sample they came with, labels, value)"""

    def time_ms(self, index: int) -> int:
        return 1000 * (BASE + index * EVERY) + self.late_ms

    def message(self, begin: int, end: int) -> Any | None:
        """The TimeSeries of these samples, if there are any."""
        there = [(self.values[i], self.time_ms(i)) for i in range(begin, end) if self.values[i] is not None]
        if not there:
            return None
        floats = [each for each in there if isinstance(each[0], float)]
        made = series_1(self.labels, floats)
        for histogram, time_ms in there[: 0 if floats else None]:
            made.histograms.add().CopyFrom(histogram)
            made.histograms[-1].timestamp = time_ms
        for index, labels, value in self.exemplars:
            if begin <= index < end:
                exemplar = made.exemplars.add(value=value, timestamp=self.time_ms(index) - 1)
                for name, text in labels.items():
                    exemplar.labels.add(name=name, value=text)
        return made


def requests(series: Sequence[Series]) -> Iterator[bytes]:
    """Bodies of remote write 1.0, in the order of time."""
    for begin in range(0, SAMPLES, SLICE):
        messages = [each.message(begin, begin + SLICE) for each in series]
        yield compressed(request_1(*filter(None, messages)))


def every_series(seed: int = 1) -> list[Series]:
    rng = np.random.default_rng(seed)
    found = [
        *counters(rng),
        *gauges(rng),
        *classic_histograms(rng),
        *infos(),
        *with_gaps(rng),
        *shaped(),
        *odd_numbers(),
        *odd_labels(),
        *native_histograms(rng),
    ]
    places = rng.choice(np.arange(1, 14_000), len(found), replace=False)
    late = [int(place) + (1 if place % 1000 == 0 else 0) for place in places]
    return [Series(labels, values, ms, *more) for (labels, values, *more), ms in zip(found, late, strict=True)]


def counters(rng: np.random.Generator) -> Iterator[Any]:
    """Requests by job, instance, method and code; some counters start again once, one of them twice."""
    number = 0
    for job in ("api", "web"):
        for instance in INSTANCES:
            for method, code in (("GET", "200"), ("GET", "500"), ("POST", "200")):
                rate = rng.gamma(2.0, 8.0)
                steps = np.cumsum(rng.poisson(rate, SAMPLES)) + rng.integers(50_000, 900_000)
                for reset in rng.choice(np.arange(20, 220), min(2, number % 4), replace=False):
                    steps[reset:] -= steps[reset] - 40_000
                labels = {"__name__": "requests_total", "job": job, "instance": instance}
                exemplars = ((30, {"trace_id": f"{number:032x}"}, 1.0), (200, {"trace_id": "ab", "user": "x"}, 2.5))
                number += 1
                yield labels | {"method": method, "code": code}, floats(steps), exemplars if number < 4 else ()


def gauges(rng: np.random.Generator) -> Iterator[Any]:
    for job, level in (("api", 4e8), ("web", 9e8)):
        for instance in INSTANCES:
            walk = level + np.cumsum(rng.normal(0, 1e6, SAMPLES))
            yield {"__name__": "memory_bytes", "job": job, "instance": instance}, floats(walk)
    for room, floor in (("kitchen", "1"), ("cellar", "0"), ("attic", "2"), ("hall", "1")):
        degrees = 5 + 10 * np.sin(np.arange(SAMPLES) / 30 + len(room)) + rng.normal(0, 0.5, SAMPLES)
        yield {"__name__": "temperature_celsius", "room": room, "floor": floor}, floats(degrees)


def classic_histograms(rng: np.random.Generator) -> Iterator[Any]:
    for job in ("api", "web"):
        for instance in INSTANCES[:2]:
            shares = rng.dirichlet(np.ones(len(BOUNDS) + 1)) * 20
            alone = np.cumsum(rng.poisson(shares, (SAMPLES, len(BOUNDS) + 1)), axis=0) + rng.integers(5_000, 9_000, 7)
            if job == "web":
                alone[120:] -= alone[120] - 4_000
            below = np.cumsum(alone, axis=1)
            labels = {"job": job, "instance": instance}
            for bucket, le in enumerate([*(f"{bound:g}" for bound in BOUNDS), "+Inf"]):
                yield {"__name__": "latency_seconds_bucket", "le": le} | labels, floats(below[:, bucket])
            yield {"__name__": "latency_seconds_count"} | labels, floats(below[:, -1])
            yield {"__name__": "latency_seconds_sum"} | labels, floats(alone @ np.array([*BOUNDS, 4.0]))
    for le, value in (("1", 10.0), ("2", 8.0), ("4", 30.0), ("+Inf", 31.0)):
        yield {"__name__": "crooked_bucket", "le": le}, [value] * SAMPLES
    for le, value in (("1", 10.0), ("2", 12.0)):
        yield {"__name__": "open_bucket", "le": le}, [value] * SAMPLES
    for le, value in (("-2", 5.0), ("0", 7.0), ("+Inf", 8.0)):
        yield {"__name__": "below_zero_bucket", "le": le}, [value] * SAMPLES


def infos() -> Iterator[Any]:
    for job in ("api", "web"):
        for number, instance in enumerate(INSTANCES):
            version = f"1.{number % 2}" if job == "api" else "2.0"
            yield {"__name__": "build_info", "job": job, "instance": instance, "version": version}, [1.0] * SAMPLES
    for job, limit in (("api", 100.0), ("web", 250.0), ("batch", 7.0)):
        yield {"__name__": "quota", "job": job}, [limit] * SAMPLES
    for job in ("api", "web"):
        yield {"__name__": "owner", "job": job, "team": f"team-{job}"}, [1.0] * SAMPLES


def with_gaps(rng: np.random.Generator) -> Iterator[Any]:
    """Histories that begin and end, with a stale marker or without, and ones with holes shorter and longer than the lookback."""
    lives = {"early": (0, 60), "middle": (80, 150), "late": (190, 240)}
    for life, (begin, end) in lives.items():
        for ended in ("told", "silent"):
            values: list[float | None] = [None] * SAMPLES
            values[begin:end] = floats(rng.normal(10, 1, end - begin))
            if ended == "told" and end < SAMPLES:
                values[end] = STALE_NAN
            yield {"__name__": "session", "life": life, "ended": ended}, values
    for hole, length in (("short", 10), ("long", 40)):
        values = floats(np.cumsum(rng.poisson(5, SAMPLES)) + 10_000)
        values[100 : 100 + length] = [None] * length
        yield {"__name__": "holes_total", "hole": hole}, values
    flapping = [float(i) if i % 4 < 2 else STALE_NAN if i % 4 == 2 else None for i in range(SAMPLES)]
    yield {"__name__": "flapping"}, flapping
    yield {"__name__": "begun_total"}, [5.0 * (i - 89) if i >= 90 else None for i in range(SAMPLES)]
    yield {"__name__": "sparse"}, [float(i) if i % 16 == 0 else None for i in range(SAMPLES)]
    yield {"__name__": "once"}, [5.0 if i == 100 else None for i in range(SAMPLES)]


def shaped() -> Iterator[Any]:
    """Numbers that a reader can follow."""
    ramp = np.arange(SAMPLES)
    yield {"__name__": "ramp"}, floats(ramp)
    yield {"__name__": "stairs"}, floats(ramp // 20)
    yield {"__name__": "saw"}, floats(ramp % 50)
    yield {"__name__": "flat"}, [3.0] * SAMPLES
    yield {"__name__": "clock_seconds"}, floats(ramp * 86_400 * 37.3 + 946_000_000)
    for number, text in enumerate(("0.5", "1.5", "-2.5", "1e-7", "12345678.9")):
        yield {"__name__": "number", "n": str(number)}, [float(text)] * SAMPLES
    yield {"__name__": "angle", "of": "circle"}, floats(np.linspace(-math.pi, math.pi, SAMPLES))
    yield {"__name__": "angle", "of": "unit"}, floats(np.linspace(-0.999, 0.999, SAMPLES))


def odd_numbers() -> Iterator[Any]:
    for name, value in (("nan", math.nan), ("inf", math.inf), ("minus_inf", -math.inf), ("zero", 0.0), ("one", 1.0)):
        yield {"__name__": "odd", "kind": name}, [value] * SAMPLES
    turns = (1.0, math.nan, 2.0, math.inf, 3.0, -math.inf)
    yield {"__name__": "mixed", "kind": "all"}, [turns[i // 10 % 6] for i in range(SAMPLES)]
    yield {"__name__": "mixed", "kind": "some_nan"}, [math.nan if i % 7 == 0 else i / 7 for i in range(SAMPLES)]
    yield {"__name__": "mixed", "kind": "large"}, [1e308 if i % 2 else -1e308 for i in range(SAMPLES)]


def odd_labels() -> Iterator[Any]:
    texts = ['quo"te', "back\\slash", "new\nline", "ümlaut", "日本", " space ", "comma,brace}", "a=b"]
    for number, text in enumerate(texts):
        yield {"__name__": "spelled", "text": text, "path": f"/a/b{number}/c"}, [float(number)] * SAMPLES
    yield {"__name__": "colon:sum:rate5m", "_private": "1"}, [1.0] * SAMPLES


def native_histograms(rng: np.random.Generator) -> Iterator[Any]:
    """Buckets on both sides of zero, the zero bucket wide enough to cut off the ones beside it."""
    for job in ("api", "web"):
        counts = np.cumsum(rng.poisson(3, (SAMPLES, 6)), axis=0) + 50
        yield (
            {"__name__": "size_bytes", "job": job},
            [native(row.tolist(), 0.3) for row in counts],
        )


def native(counts: Sequence[int], zero_threshold: float) -> Any:
    """Schema 0: two negative buckets, the zero bucket, three positive ones in two spans."""
    below, zero, above = counts[:2], counts[2], counts[3:]
    made = ONE["Histogram"](count_int=sum(counts), sum=float(3 * sum(above) - sum(below)), zero_count_int=zero)
    made.zero_threshold = zero_threshold
    made.negative_spans.add(offset=-1, length=2)
    made.negative_deltas.extend([below[0], below[1] - below[0]])
    made.positive_spans.add(offset=-1, length=2)
    made.positive_spans.add(offset=1, length=1)
    made.positive_deltas.extend([above[0], above[1] - above[0], above[2] - above[1]])
    return made


def floats(values: Any) -> list[Any]:
    return [float(value) for value in values]

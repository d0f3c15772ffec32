"""How many samples a query looks at, as Prometheus counts them.

Source of the table: TestQueryStatistics in promql/engine_test.go of Prometheus.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from histogram_text import parse_histogram
from memory_source import source_of
from sonde.query.promql.errors import TooManySamples
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.limits import Limits
from sonde.query.promql.parser import parse
from sonde.query.promql.sample_counts import histogram_size, sizes

SOURCE = source_of(
    "one 1+1x100",
    'three{a="1",b="1"} 1+1x100',
    'three{a="2",b="2"} 1+1x100',
    'three{a="3",b="2"} 1+1x100',
    "native {{schema:1 count:5 sum:20 buckets:[1 2 1 1]}}+{{schema:1 count:10 sum:5 buckets:[1 2 3 4]}}x100",
    interval_ms=10_000,
)


@pytest.mark.parametrize(
    ("query", "grid", "per_step"),
    [
        ('"literal string"', (21, 21, 0), [0]),
        ("1", (21, 21, 0), [0]),
        ("one", (21, 21, 0), [1]),
        ("native", (21, 21, 0), [13]),
        ("timestamp(one)", (21, 21, 0), [1]),
        ("timestamp(native)", (21, 21, 0), [1]),
        ("one", (22, 22, 0), [1]),
        ("one offset 10s", (21, 21, 0), [1]),
        ("one @ 15", (21, 21, 0), [1]),
        ('three{a="1"}', (21, 21, 0), [1]),
        ('three{a="1"} @ 19', (21, 21, 0), [1]),
        ('three{a="1"}[20s] @ 19', (21, 21, 0), [2]),
        ("three", (21, 21, 0), [3]),
        ("one[60s]", (201, 201, 0), [6]),
        ("native[60s]", (201, 201, 0), [78]),
        ("max_over_time(one[60s])[20s:5s]", (201, 201, 0), [24]),
        ("max_over_time(one[61s])[20s:5s]", (201, 201, 0), [26]),
        ("max_over_time(native[60s])[20s:5s]", (201, 201, 0), [312]),
        ("one[60s] @ 30", (201, 201, 0), [4]),
        ("native[60s] @ 30", (201, 201, 0), [52]),
        ("sum(max_over_time(three[60s] @ 30))", (201, 201, 0), [12]),
        ("sum by (b) (max_over_time(three[60s] @ 30))", (201, 201, 0), [12]),
        ("one[60s] offset 10s", (201, 201, 0), [6]),
        ("three[60s]", (201, 201, 0), [18]),
        ("max_over_time(one[60s])", (201, 201, 0), [6]),
        ("absent_over_time(one[60s])", (201, 201, 0), [6]),
        ("max_over_time(three[60s])", (201, 201, 0), [18]),
        ("one[60s:5s]", (201, 201, 0), [12]),
        ("one[60s:5s] offset 10s", (201, 201, 0), [12]),
        ("max_over_time(three[60s:5s])", (201, 201, 0), [36]),
        ("sum(max_over_time(three[60s:5s])) + sum(max_over_time(three[60s:5s]))", (201, 201, 0), [72]),
        ('three{a="1"}', (201, 220, 5), [1, 1, 1, 1]),
        ('three{a="1"}', (204, 223, 5), [1, 1, 1, 1]),
        ("native", (204, 223, 5), [13, 13, 13, 13]),
        ("timestamp(one)", (201, 220, 5), [1, 1, 1, 1]),
        ("timestamp(native)", (201, 220, 5), [1, 1, 1, 1]),
        ('max_over_time(three{a="1"}[10s])', (991, 1021, 10), [1, 1, 0, 0]),
        ('three{a="1"} offset 10s', (201, 220, 5), [1, 1, 1, 1]),
        ("max_over_time(three[60s] @ 30)", (201, 220, 5), [12, 12, 12, 12]),
        ("three", (201, 220, 5), [3, 3, 3, 3]),
        ("max_over_time(three[60s])", (201, 220, 5), [18, 18, 18, 18]),
        ("max_over_time(three[60s:5s])", (201, 216, 5), [36, 36, 36, 36]),
        ("max_over_time(three[60s:5s])", (201, 220, 5), [36, 36, 36, 36]),
        ("max_over_time(one[60s:5s])", (201, 220, 5), [12, 12, 12, 12]),
        ("sum by (b) (max_over_time(one[60s:5s]))", (201, 220, 5), [12, 12, 12, 12]),
        ("sum(max_over_time(three[60s:5s])) + sum(max_over_time(three[60s:5s]))", (201, 220, 5), [72, 72, 72, 72]),
        ("sum(max_over_time(three[60s:5s])) + sum(max_over_time(one[60s:5s]))", (201, 216, 5), [48, 48, 48, 48]),
        ("sum(max_over_time(three[60s:5s])) + sum(max_over_time(one[60s:5s]))", (201, 220, 5), [48, 48, 48, 48]),
        ("max_over_time(one[20s:10s])", (201, 201, 0), [2]),
        ("sum_over_time(one[30s:30s])", (90, 90, 0), [1]),
        ("max_over_time(one[30s:2m])", (240, 240, 0), [1]),
        ("max_over_time(one[30s:10s])", (201, 231, 30), [3, 3]),
        ("max_over_time(one[20s:10s])", (201, 261, 10), [2, 2, 2, 2, 2, 2, 2]),
        ("max_over_time(one[30s:10s])", (201, 261, 60), [3, 3]),
        ("histogram_count(max_over_time(native[20s:10s]))", (201, 201, 0), [26]),
        ("avg_over_time(native[2m:1m])", (120, 240, 60), [26, 26, 26]),
        ("max_over_time(three[60s:10s])", (200, 400, 30), [18, 18, 18, 18, 18, 18, 18]),
        ("predict_linear(one[60s] @ 100, 60)", (100, 300, 100), [6, 6, 6]),
        ("sum_over_time(three[20s:10s] @ 200)", (250, 250, 0), [6]),
        ("sum_over_time(one[20s:10s] offset 1m)", (240, 240, 0), [2]),
        ("sum_over_time(three[1m:10s] @ 200 offset 1m)", (300, 300, 0), [18]),
        ("sum_over_time(max_over_time(three[60s] @ 300)[5m:1m] @ 600)[10m:2m]", (800, 800, 0), [75]),
        ("rate(sum_over_time(one[30s])[1m:30s])", (240, 240, 0), [2]),
    ],
)
def test_samples_are_counted_for_each_step(query: str, grid: tuple[int, int, int], per_step: list[int]) -> None:
    start, end, step = grid
    times: dict[str, Any] = {"start_ms": 1000 * start, "end_ms": 1000 * end, "step_ms": 1000 * step}
    result = evaluate(parse(query), SOURCE, **times, counting=True)
    assert result.queryable is not None
    assert result.queryable.tolist() == per_step
    assert result.peak_samples > 0
    assert evaluate(parse(query), SOURCE, **times).queryable is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("{{}}", 11),
        ("{{schema:1 count:5 sum:20 buckets:[1 2 1 1]}}", 13),
        ("{{buckets:[1 2] n_buckets:[1 2]}}", 14),
        ("{{schema:-53 custom_values:[5 10] buckets:[1 4]}}", 13),
    ],
)
def test_a_histogram_counts_as_the_samples_that_would_take_its_memory(text: str, size: int) -> None:
    histogram = parse_histogram(text)
    assert histogram_size(histogram.layout) == size
    assert sizes(np.array([[histogram, None]], object)).tolist() == [[size, 1]]


def test_native_histograms_use_up_the_limit_by_their_size() -> None:
    times = {"start_ms": 0, "end_ms": 90_000, "step_ms": 10_000}
    assert evaluate(parse("one"), SOURCE, **times, limits=Limits(50)).peak_samples <= 50
    with pytest.raises(TooManySamples):
        evaluate(parse("native"), SOURCE, **times, limits=Limits(140))
    assert evaluate(parse("native"), SOURCE, **times, limits=Limits(300)).peak_samples > 140

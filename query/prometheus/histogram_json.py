"""A native histogram in the JSON of Prometheus' API: count, sum, and its filled buckets with bounds as text."""

from __future__ import annotations

import numpy as np
from sonde.query.prometheus.json_text import float_texts
from sonde.query.promql.histogram import Counts, Histogram, lower_bounds, upper_bounds
from sonde.query.promql.values import Ints

UPPER_CLOSED, LOWER_CLOSED, BOTH_CLOSED = 0, 1, 3
"""Which bounds belong to a bucket. (2, neither, does not occur.)"""


def histogram_json(histogram: Histogram) -> bytes:
    """`{"count": "3", "sum": "4.5", "buckets": [[0, "1", "2", "3"]]}`; buckets ascend, empty ones are left out."""
    closed, lower, upper, counts = _buckets(histogram)
    filled = counts != 0
    count, total = float_texts(np.array([histogram.count, histogram.sum]))
    head = b'{"count":"%b","sum":"%b"' % (count, total)
    if not filled.any():
        return head + b"}"
    texts = zip(
        closed[filled].tolist(),
        float_texts(lower[filled]),
        float_texts(upper[filled]),
        float_texts(counts[filled]),
        strict=True,
    )
    return head + b',"buckets":[' + b",".join(b'[%d,"%b","%b","%b"]' % bucket for bucket in texts) + b"]}"


def _buckets(histogram: Histogram) -> tuple[Ints, Counts, Counts, Counts]:
    """(which bounds are closed, lower, upper, count) of all buckets from the lowest to the highest."""
    indices, counts = histogram.positive_indices, histogram.positive_counts
    lower = lower_bounds(indices, histogram.schema, histogram.custom_values)
    upper = upper_bounds(indices, histogram.schema, histogram.custom_values)
    if histogram.is_custom:
        # The first one is closed at its lower end, -Inf, too.
        return np.where(indices == 0, BOTH_CLOSED, UPPER_CLOSED), lower, upper, counts
    below = histogram.negative_indices[::-1]
    zero = histogram.zero_threshold
    parts = (
        (np.full(len(below), LOWER_CLOSED), [BOTH_CLOSED], np.full(len(indices), UPPER_CLOSED)),
        (-upper_bounds(below, histogram.schema, histogram.custom_values), [-zero], lower),
        (-lower_bounds(below, histogram.schema, histogram.custom_values), [zero], upper),
        (histogram.negative_counts[::-1], [histogram.zero_count], counts),
    )
    closed, lowers, uppers, all_counts = (np.concatenate(part) for part in parts)
    return closed, lowers, uppers, all_counts

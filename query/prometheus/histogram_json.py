"""A native histogram in the JSON of Prometheus' API: count, sum, and its filled buckets with bounds as text.

Unlike in a histogram's text, buckets are cut off at the edges of the zero bucket that they overlap with, and the zero bucket is
there only with a count above zero. Source: util/jsonutil/marshal.go and AllBucketIterator in model/histogram/float_histogram.go
of Prometheus.
"""

from __future__ import annotations

import numpy as np
from sonde.query.prometheus.json_text import float_texts
from sonde.query.promql.histogram import FIRST_BUCKET, Counts, Histogram, Layout
from sonde.query.promql.values import Bools, Ints

UPPER_CLOSED, LOWER_CLOSED, BOTH_CLOSED = 0, 1, 3
"""Which bounds belong to a bucket. (2, neither, does not occur.)"""


def histogram_json(histogram: Histogram) -> bytes:
    """`{"count": "3", "sum": "4.5", "buckets": [[0, "1", "2", "3"]]}`; buckets ascend, empty ones are left out."""
    layout, counts = histogram.layout, histogram.numbers[FIRST_BUCKET:]
    shown = _shown(layout, counts)
    count, total = float_texts(np.array([histogram.count, histogram.sum]))
    head = b'{"count":"%b","sum":"%b"' % (count, total)
    if not shown.any():
        return head + b"}"
    lowers, uppers = layout.bounds()
    texts = zip(
        _closed(layout)[shown].tolist(),
        float_texts(lowers[shown]),
        float_texts(uppers[shown]),
        float_texts(counts[shown]),
        strict=True,
    )
    return head + b',"buckets":[' + b",".join(b'[%d,"%b","%b","%b"]' % bucket for bucket in texts) + b"]}"


def _shown(layout: Layout, counts: Counts) -> Bools:
    filled: Bools = counts != 0
    zero = layout.zero_column - FIRST_BUCKET
    filled[zero] = counts[zero] > 0
    return filled


def _closed(layout: Layout) -> Ints:
    lower, upper = layout.inclusive()
    return np.where(lower & upper, BOTH_CLOSED, np.where(lower, LOWER_CLOSED, UPPER_CLOSED))

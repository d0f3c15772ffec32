"""Which label makes a metric large: the attributes of its points by how many values each has, as far as it was asked about.

Learned from requests of which points were refused, so that whoever sent them is told what to take out, also where each request
holds only a few. Bounded, by forgetting the metric not seen longest, and by counting no further than MOST_VALUES.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sonde.ingest.point_series import (
    LABEL_KEY,
    LABEL_LENGTH,
    LABEL_NAME,
    LABEL_START,
    LABEL_VALUE,
    LABEL_WHOSE,
    labels_of_metrics,
)
from sonde.storage.columns import U8, U64

MOST_METRICS = 64
MOST_VALUES = 16_384
"""Of all labels of a metric together; with their keys 256 KiB."""
MOST_LABELS = 32_768
"""Looked at in one request."""
NAMED = 3
SHOWN = 100
"""Characters of a name in a sentence."""


@dataclass(slots=True)
class Metric:
    """The distinct values of one metric's labels. `values`, `keys`: hashes, side by side."""

    name: str
    since: int
    values: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    keys: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    texts: dict[int, str] = field(default_factory=dict)
    widest: str = ""
    """The label with most values, or those where several have as many: `attribute user_id (1,234 values)`. Empty where there is
    no label."""

    @property
    def full(self) -> bool:
        return len(self.values) >= MOST_VALUES

    def learn(self, buffer: U8, labels: U64) -> None:
        """Take in `labels`, rows of Labels.labels, of a request in `buffer`."""
        values, first = np.unique(np.concatenate([self.values, labels[:, LABEL_VALUE]]), return_index=True)
        keys = np.concatenate([self.keys, labels[:, LABEL_KEY]])[first]
        self.values, self.keys = values[:MOST_VALUES], keys[:MOST_VALUES]
        distinct, places = np.unique(labels[:, LABEL_KEY], return_index=True)
        for key, row in zip(distinct.tolist(), labels[places], strict=True):
            if key not in self.texts:
                whose = "resource attribute" if row[LABEL_WHOSE] else "attribute"
                self.texts[key] = f"{whose} {text_at(buffer, row[LABEL_START], row[LABEL_LENGTH])}"
        self.widest = self._widest()

    def _widest(self) -> str:
        keys, counts = np.unique(self.keys, return_counts=True)
        if not len(keys):
            return ""
        most = int(counts.max())
        texts = sorted(self.texts[key] for key in keys[counts == most].tolist() if key in self.texts)
        more = f" and {len(texts) - NAMED} others" if len(texts) > NAMED else ""
        each = " each" if len(texts) > 1 else ""
        values = "or more values" if self.full else "value" if most == 1 else "values"
        return f"{', '.join(texts[:NAMED])}{more} ({most:,} {values}{each})"


class LabelValues:
    """Of all tenants' metrics. Not thread-safe. `window_seconds`: after that a metric is looked at afresh."""

    def __init__(self, window_seconds: int) -> None:
        self._window_seconds = window_seconds
        self._metrics: dict[tuple[str, int], Metric] = {}

    def learn(self, tenant: str, buffer: U8, names: U64, now: int) -> dict[int, Metric]:
        """What is known, with the request in `buffer`, of the metrics whose names have these hashes."""
        metrics = {name: self._metrics.pop((tenant, name), None) for name in names.tolist()}
        fresh = {name: each for name, each in metrics.items() if each and abs(now - each.since) <= self._window_seconds}
        wanted = [name for name in metrics if name not in fresh or not fresh[name].full]
        if wanted:
            found = labels_of_metrics(buffer, np.array(wanted, np.uint64), MOST_LABELS)
            for name, start, length in found.names.tolist():
                metric = fresh.setdefault(name, Metric(text_at(buffer, start, length), now))
                metric.learn(buffer, found.labels[found.labels[:, LABEL_NAME] == np.uint64(name)])
        self._metrics.update(((tenant, name), metric) for name, metric in fresh.items())
        while len(self._metrics) > MOST_METRICS:
            del self._metrics[next(iter(self._metrics))]
        return fresh


def text_at(buffer: U8, start: int, length: int) -> str:
    """A text of a request, fit for a sentence: shortened, and nothing in it that is not printable."""
    raw = buffer[int(start) : int(start) + min(int(length), 4 * SHOWN)].tobytes()
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in raw.decode("utf-8", "replace"))
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."

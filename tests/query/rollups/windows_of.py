"""What the store says of windows, and what its samples say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sent import matchers, reader
from sonde.query.prometheus.samples import StoreSource
from sonde.query.promql.summaries import FLAT, Summaries, summarize
from sonde.query.rollups.builder import Figures, batches, build
from sonde.query.rollups.kinds import KINDS
from sonde.storage.store import Store

FIVE_MINUTES, HOUR = 300_000, 3_600_000
SUMS = ("sums", "losses")
"""Equal but for the order in which floats were added."""
VALUES = ("sums", "minima", "maxima")
"""What rollups of histograms don't have."""


def build_all(store: Store, tenant: str, after_ms: int, before_ms: int, *, again: bool = False) -> Figures:
    """Summarises all that is due."""
    figures = Figures()
    for kind in KINDS:
        for batch in batches(store, kind, after_ms, before_ms, tenant=tenant, again=again):
            built = build(store, batch)
            assert built is not None
            figures.add(built)
    return figures


def stored(
    store: Store,
    tenant: str,
    selector: str,
    width_ms: int,
    after_ms: int,
    end_ms: int,
    *,
    values: bool = True,
    **limits: Any,
) -> Summaries | None:
    source = StoreSource(reader(store, tenant), **limits)
    return source.summaries(matchers(selector), width_ms, after_ms, end_ms, values=values)


def of_samples(store: Store, tenant: str, selector: str, width_ms: int, after_ms: int, end_ms: int) -> Summaries:
    samples = StoreSource(reader(store, tenant)).select(matchers(selector), after_ms + 1, end_ms)
    return summarize(samples, width_ms)


def spelled(found: Summaries) -> dict[str, dict[int, dict[str, Any]]]:
    """Fields by series and end."""
    answer: dict[str, dict[int, dict[str, Any]]] = {}
    for series, labels in enumerate(found.labels.rows()):
        rows = range(int(found.offsets[series]), int(found.offsets[series + 1]))
        ends = [int(found.ends[row]) for row in rows]
        assert ends == sorted(set(ends))
        key = " ".join(f"{name}={text}" for name, text in sorted(labels.items()))
        assert key not in answer
        answer[key] = {
            end: {name: getattr(found, name)[row].item() for name in FLAT} for end, row in zip(ends, rows, strict=True)
        }
    return answer


def assert_same(found: Summaries | None, expected: Summaries, but: Sequence[str] = ()) -> None:
    """Equal, sums but for the order in which floats were added."""
    assert found is not None
    here, there = spelled(found), spelled(expected)
    assert here.keys() == there.keys()
    for series, windows in there.items():
        assert here[series].keys() == windows.keys(), series
        for end, fields in windows.items():
            if not fields["counts"]:
                assert here[series][end]["counts"] == 0
                assert here[series][end]["stale_times"] == fields["stale_times"]
                continue
            for name, value in fields.items():
                if name in but:
                    continue
                here_value = here[series][end][name]
                told = f"{series} at {end}: {name} is {here_value}, not {value}"
                if name in SUMS:
                    assert np.isclose(here_value, value, rtol=1e-12, equal_nan=True), told
                else:
                    assert np.array_equal(here_value, value, equal_nan=True), told

"""Kernels before the first query, and that no query makes numba compile any of them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from memory_source import source_of
from sonde.query.promql import classic_kernels, group_kernels, kernels, rate_kernels, summary_kernels
from sonde.query.promql.evaluate import evaluate
from sonde.query.promql.parser import parse
from sonde.query.promql.source import Source
from sonde.query.promql.summary_functions import SUMMARISED
from sonde.query.promql.summary_widths import Use
from sonde.query.promql.syntax import Matcher
from sonde.query.promql.values import Samples
from sonde.query.promql.warm import EXPRESSIONS, warm
from summarising import HOUR, Summarising

MODULES = (classic_kernels, group_kernels, kernels, rate_kernels, summary_kernels)


def compiled(modules: Sequence[ModuleType] = MODULES) -> dict[str, int]:
    """How many kinds of arguments each kernel is compiled for."""
    return {
        f"{module.__name__}.{name}": len(kernel.signatures)
        for module in modules
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")
    }


class ReadOnly:
    """A source whose arrays may not be written to, and are parts of larger ones."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Samples:
        samples = self.source.select(matchers, start_ms, end_ms)
        return replace(
            samples, times=spread(samples.times), values=spread(samples.values), offsets=spread(samples.offsets)
        )


def spread(array: np.ndarray) -> np.ndarray:
    """Every other item of an array that may only be read."""
    wide = np.repeat(array, 2)
    wide.flags.writeable = False
    return wide[::2]


def test_warm_says_what_it_does_and_every_step_is_an_expression() -> None:
    steps: list[tuple[str, int, int]] = []
    warm(lambda what, step, steps_in_all: steps.append((what, step, steps_in_all)))
    assert [step for _, step, _ in steps] == list(range(len(EXPRESSIONS)))
    assert steps[0] == ("evaluate x", 0, len(EXPRESSIONS))


def test_warm_compiles_every_kernel_that_python_calls() -> None:
    warm()
    called_by_kernels = {
        "plus",
        "mean_of",
        "quantile_of",
        "ascending",
        "longest",
        "fit_line",
        "between",
        "worse",
        "sink",
    }
    called_by_kernels |= {
        "lost_to_resets",
        "extrapolated_factor",
        "interpolated",
        "gather",
        "make_monotonic",
        "count_below",
        "restarted",
    }
    missing = [
        name for name, kinds in compiled().items() if not kinds and name.rpartition(".")[2] not in called_by_kernels
    ]
    assert missing == []


@pytest.mark.parametrize(
    "text", [*EXPRESSIONS, "sum(x @ 1)", "quantile(0.5, x @ 1)", "sum(timestamp(x))", "topk(2, x @ 1)"]
)
def test_no_query_compiles_a_kernel_for_other_arrays(text: str) -> None:
    warm()
    before = compiled()
    source = ReadOnly(source_of('x{le="1"} 1 2 3 4', 'x{le="+Inf"} 1 2 5 6', interval_ms=30_000))
    if not text.startswith("x["):
        evaluate(parse(text), source, start_ms=30_000, end_ms=90_000, step_ms=30_000)
    evaluate(parse(text), source, start_ms=90_000, end_ms=90_000)
    assert compiled() == before


@pytest.mark.parametrize("function", sorted(SUMMARISED))
def test_no_function_of_summaries_compiles_a_kernel_for_other_arrays(function: str) -> None:
    warm()
    before = compiled()
    source = Summarising(ReadOnly(source_of("x_total 1 2 3 4 0 1", interval_ms=HOUR)))
    for text in (f"{function}(x_total[2h])", f"{function}(x_total[2h] @ end())", "x_total", "timestamp(x_total)"):
        evaluate(parse(text), source, start_ms=0, end_ms=4 * HOUR, step_ms=HOUR, use=Use.EXACT)
    assert len(source.widths) == 4
    assert compiled() == before

"""Every function of PromQL: what it takes and what it gives. The implementations stand in `functions.FUNCTIONS`.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sonde.query.promql.syntax import ValueType

SCALAR, STRING, VECTOR, MATRIX = ValueType.SCALAR, ValueType.STRING, ValueType.VECTOR, ValueType.MATRIX


@dataclass(frozen=True, slots=True)
class Signature:
    """`args` are the types of the arguments in order, of which the last `optional` may be left out.

    `variadic`: the last argument may stand any number of times. `experimental`: Prometheus has it behind a flag.
    """

    name: str
    args: tuple[ValueType, ...]
    optional: int = 0
    variadic: bool = False
    returns: ValueType = VECTOR
    experimental: bool = False

    @property
    def least(self) -> int:
        """The fewest arguments a call may have."""
        return len(self.args) - self.optional

    @property
    def most(self) -> int | None:
        """The most arguments a call may have; None where there is no bound."""
        return None if self.variadic else len(self.args)

    def type_of(self, index: int) -> ValueType:
        """The type of the argument at `index`, which may be one of a variadic tail."""
        return self.args[min(index, len(self.args) - 1)]


def of_vector(*names: str) -> list[Signature]:
    return [Signature(name, (VECTOR,)) for name in names]


def of_matrix(*names: str, experimental: bool = False) -> list[Signature]:
    return [Signature(name, (MATRIX,), experimental=experimental) for name in names]


def of_time(*names: str) -> list[Signature]:
    """Parts of a date: of the samples' values, or without an argument of the evaluation time."""
    return [Signature(name, (VECTOR,), optional=1) for name in names]


def of_query(*names: str) -> list[Signature]:
    """What a query knows about itself."""
    return [Signature(name, (), returns=SCALAR, experimental=True) for name in names]


_ALL = [
    # Arithmetic on each sample.
    *of_vector("abs", "ceil", "exp", "floor", "ln", "log10", "log2", "sgn", "sqrt"),
    *of_vector("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh"),
    *of_vector("deg", "rad"),
    Signature("clamp", (VECTOR, SCALAR, SCALAR)),
    Signature("clamp_max", (VECTOR, SCALAR)),
    Signature("clamp_min", (VECTOR, SCALAR)),
    Signature("round", (VECTOR, SCALAR), optional=1),
    # Presence, order, conversion.
    *of_vector("absent", "sort", "sort_desc", "timestamp"),
    Signature("start_timestamp", (VECTOR,), experimental=True),
    Signature("scalar", (VECTOR,), returns=SCALAR),
    Signature("vector", (SCALAR,)),
    Signature("pi", (), returns=SCALAR),
    Signature("time", (), returns=SCALAR),
    Signature("max_of", (SCALAR, SCALAR), returns=SCALAR, experimental=True),
    Signature("min_of", (SCALAR, SCALAR), returns=SCALAR, experimental=True),
    *of_query("start", "end", "step", "range"),
    # Parts of a date.
    *of_time("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"),
    # Counters and gauges over a window.
    *of_matrix("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets"),
    Signature("predict_linear", (MATRIX, SCALAR)),
    Signature("double_exponential_smoothing", (MATRIX, SCALAR, SCALAR), experimental=True),
    # Statistics over a window.
    *of_matrix("avg_over_time", "count_over_time", "max_over_time", "min_over_time", "sum_over_time"),
    *of_matrix("stddev_over_time", "stdvar_over_time"),
    *of_matrix("first_over_time", "last_over_time", "absent_over_time", "present_over_time"),
    *of_matrix("mad_over_time", "ts_of_first_over_time", "ts_of_last_over_time", experimental=True),
    *of_matrix("ts_of_max_over_time", "ts_of_min_over_time", experimental=True),
    Signature("quantile_over_time", (SCALAR, MATRIX)),
    # Histograms.
    *of_vector("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"),
    Signature("histogram_fraction", (SCALAR, SCALAR, VECTOR)),
    Signature("histogram_quantile", (SCALAR, VECTOR)),
    Signature("histogram_quantiles", (VECTOR, STRING, *(SCALAR,) * 10), optional=9, experimental=True),
    # Labels.
    Signature("label_replace", (VECTOR, STRING, STRING, STRING, STRING)),
    Signature("label_join", (VECTOR, STRING, STRING, STRING), optional=1, variadic=True),
    Signature("sort_by_label", (VECTOR, STRING), optional=1, variadic=True, experimental=True),
    Signature("sort_by_label_desc", (VECTOR, STRING), optional=1, variadic=True, experimental=True),
    Signature("info", (VECTOR, VECTOR), optional=1, experimental=True),
]

SIGNATURES: Mapping[str, Signature] = {signature.name: signature for signature in _ALL}
"""By name; names are case-sensitive, as Prometheus has them."""

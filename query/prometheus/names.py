"""OpenTelemetry's names as Prometheus': metrics with suffixes of unit and type, labels with underscores.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ ("OTLP Metric points to
Prometheus"), in the reading of Prometheus' own OTLP receiver under `UnderscoreEscapingWithSuffixes`.
"""

from __future__ import annotations

import re
from functools import lru_cache

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "KBy": "kilobytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
"""UCUM units in words; any other stays as it is."""
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
"""The same after a `/`."""

_METRIC_TOKEN = re.compile(r"[a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@lru_cache(maxsize=65_536)
def metric_name(name: str, unit: str, *, is_counter: bool, is_gauge: bool) -> str:
    """The translated name of a metric, without what its parts add (`_bucket`, ...).

    A suffix that the name has among its words is not added again. A name without a letter or digit of ASCII has no
    translation and stays as it is.
    """
    words = _METRIC_TOKEN.findall(name)
    if not words:
        return name
    words += [word for word in unit_words(unit) if word not in words]
    if is_counter:
        words = [word for word in words if word != "total"] + ["total"]
    if is_gauge and unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    translated = "_".join(words)
    return f"_{translated}" if translated[0].isdigit() else translated


def unit_words(unit: str) -> list[str]:
    """The suffixes of a unit: `By/s` -> bytes, per_second. Annotations (`{packets}`) and `1` have none."""
    main, _, per = unit.partition("/")
    words = [_unit_word(main, UNITS), _unit_word(per, PER_UNITS)]
    return [word for word in (words[0], words[1] and f"per_{words[1]}") if word]


def _unit_word(unit: str, known: dict[str, str]) -> str:
    unit = unit.strip()
    if "{" in unit or "}" in unit:
        return ""
    return "_".join(_METRIC_TOKEN.findall(known.get(unit, unit)))


@lru_cache(maxsize=65_536)
def label_name(key: str) -> str:
    """The label that an attribute becomes: `http.route` -> `http_route`, `2xx` -> `key_2xx`, `_x` -> `key_x`.

    A key without a letter or digit of ASCII has no translation and stays as it is.
    """
    if not _METRIC_TOKEN.search(key):
        return key
    label = _NOT_IN_LABELS.sub("_", key)
    if label[0].isdigit():
        return f"key_{label}"
    return f"key{label}" if label.startswith("_") and not label.startswith("__") else label


def is_plain_label(name: str) -> bool:
    """Whether a label's name could have been made by `label_name`: no dots, no other signs."""
    return _PLAIN_LABEL.fullmatch(name) is not None

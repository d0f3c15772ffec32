"""Filters in Python: what `telemetry.spans(name="checkout")` and its like leave of the records.

A wanted value is a value to be equal to, a compiled regular expression to be found in it, a function of it, or `...` for any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

Record = TypeVar("Record")
Wanted: TypeAlias = Any

LANGUAGES = (
    "a text is no filter here: TraceQL and LogQL are not there yet. Write spans(name=..., kind=..., status=..., service=..., "
    'attributes={"http.route": "/cart"}) or spans(lambda span: span.duration > 0.1), where a value may also be a compiled regular '
    'expression, a function, or ... for any; or ask in SQL, telemetry.sql("SELECT ... FROM spans"), or of metrics in PromQL, '
    'telemetry.metrics("rate(...)")'
)


class FilterError(TypeError):
    """A filter in a form that is not there; the message says which are."""


def chosen(
    records: Iterable[Record],
    test: Callable[[Record], Any] | None,
    wanted: Mapping[str, Wanted],
    attributes: Mapping[str, Wanted],
) -> list[Record]:
    """The records that pass the test, have the wanted values in their fields, and these attributes.

    A field whose wanted value is None is not looked at. FilterError: `test` is no function.
    """
    if isinstance(test, str):
        raise FilterError(LANGUAGES)
    if test is not None and not callable(test):
        raise FilterError(f"{test!r} is no filter. {LANGUAGES}")
    fields = {name: value for name, value in wanted.items() if value is not None}
    return [
        record
        for record in records
        if all(fits(getattr(record, name), value) for name, value in fields.items())
        and has_all(getattr(record, "attributes", {}), attributes)
        and (test is None or test(record))
    ]


def has_all(attributes: Mapping[str, Any], wanted: Mapping[str, Wanted]) -> bool:
    return all(key in attributes and fits(attributes[key], value) for key, value in wanted.items())


def fits(value: Any, wanted: Wanted) -> bool:
    if wanted is ...:
        return True
    if isinstance(wanted, re.Pattern):
        return wanted.search(str(value)) is not None
    if isinstance(wanted, type) or not callable(wanted):
        return bool(value == wanted)
    return bool(wanted(value))


def described(wanted: Mapping[str, Wanted], attributes: Mapping[str, Wanted]) -> str:
    """The filter as it would be written, for messages."""
    parts = [f"{name}={value!r}" for name, value in wanted.items() if value is not None]
    return ", ".join([*parts, *([f"attributes={dict(attributes)!r}"] if attributes else [])])

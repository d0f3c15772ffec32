"""Label matchers as SQL over rows of `series`, as far as that can be told: what is found has all that is asked for, and more.

A label can come from attributes of five types, under keys that only their translation makes one label, or from the resource. So
the store is asked for rows that hold the value anywhere, and the labels that are made of them are matched exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sonde.query.filters import Filter
from sonde.query.promql.labels import NAME, values_of
from sonde.query.promql.quoting import is_utf8
from sonde.query.promql.regex import matched_values
from sonde.query.promql.syntax import Matcher, MatchOp

FROM_POINTS = ("le", "quantile")
"""Labels that stand in attributes only where the series came from Prometheus one by one."""
HAVE_THEM_IN_POINTS = "type IN (9, 11)"
_LITERALS = re.compile(r"[^\\.+*?()\[\]{}^$|;]+(\|[^\\.+*?()\[\]{}^$|;]+)*")
MOST_LITERALS = 1_000

JOB = """if(service_namespace = '', '', concat(service_namespace, '/')) || service_name"""
INSTANCE = "service_instance_id"
NOT_TEXT = (
    "hasAny(arrayConcat(mapKeys(attributes_int), mapKeys(attributes_double), mapKeys(attributes_bool), mapKeys(attributes_json)),"
    " ['service.name', 'service.namespace', 'service.instance.id'])"
)
"""Resources whose columns need not be what `resources.py` makes of their attributes."""


def accepts_absence(matcher: Matcher) -> bool:
    return bool(matched_values(values_of([""]), matcher)[0])


def literals(matcher: Matcher) -> list[str] | None:
    """The values a matcher may accept, where they are few and known; a `;` may come from joined values."""
    if not is_utf8(matcher.value):
        # No stored value is that: there is nothing to tell the store.
        return None
    if matcher.op is MatchOp.EQUAL and ";" not in matcher.value:
        return [matcher.value]
    if matcher.op is MatchOp.REGEX and _LITERALS.fullmatch(matcher.value):
        found = matcher.value.split("|")
        return found if len(found) <= MOST_LITERALS else None
    return None


def candidates(matchers: Iterable[Matcher]) -> list[Filter]:
    """Conditions that every series which the matchers accept fulfils."""
    found = []
    for number, matcher in enumerate(matchers):
        if matcher.name == NAME or matcher.name.startswith("otel_scope_") or accepts_absence(matcher):
            continue
        values = literals(matcher)
        if values is not None:
            found.append(holding(matcher.name, values, number))
    return found


def holding(label: str, values: Sequence[str], number: int) -> Filter:
    name = f"label{number}"
    listed = f"{{{name}:Array(String)}}"
    clauses = [
        f"hasAny(mapValues(attributes_string), {listed})",
        f"arrayExists(value -> has({listed}, toString(value)), mapValues(attributes_int))",
        f"arrayExists(value -> has({listed}, if(value, 'true', 'false')), mapValues(attributes_bool))",
        "notEmpty(attributes_double)",
        "notEmpty(attributes_json)",
    ]
    if label in FROM_POINTS:
        clauses.append(HAVE_THEM_IN_POINTS)
    if label in ("job", "instance"):
        column = JOB if label == "job" else INSTANCE
        clauses.append(
            "resource_id IN (SELECT resource_id FROM resources WHERE tenant = {tenant:String}"
            f" AND ({column} IN {listed} OR {NOT_TEXT}))"
        )
    return Filter(" OR ".join(clauses), {name: list(values)})

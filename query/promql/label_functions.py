"""Functions that change labels, or order by them; values they leave alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cmp_to_key

import numpy as np
from sonde.query.promql.aggregations import is_label_name
from sonde.query.promql.answer import merged, take
from sonde.query.promql.context import Context
from sonde.query.promql.errors import EvaluationError
from sonde.query.promql.instant_functions import warn_of_sorting
from sonde.query.promql.label_groups import label_order
from sonde.query.promql.labels import NAME, LabelColumn, column_of, mapped_column
from sonde.query.promql.regex import BadPattern, Pattern, compiled
from sonde.query.promql.values import Bools, Ints, Text, Vector


def label_replace(context: Context, vector: Vector, to: Text, template: Text, source: Text, pattern: Text) -> Vector:
    """Where the whole value of `source` matches, the label `to` becomes the template filled in from the match."""
    try:
        expression = compiled(pattern.value)
    except BadPattern as error:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern.value}") from error
    if not is_label_name(to.value):
        raise EvaluationError(f"invalid destination label name in label_replace(): {to.value}")
    column = vector.labels.column(source.value)
    parts = template_parts(template.value)
    texts = [filled(expression, parts, value) for value in column.values]
    matched = np.fromiter((text is not None for text in texts), bool, len(texts))[column.codes]
    new = mapped_column(column, [text or "" for text in texts])
    return _relabelled(vector, to.value, _merged_column(vector.labels.column(to.value), new, matched), matched)


def _merged_column(old: LabelColumn, new: LabelColumn, where: Bools) -> LabelColumn:
    """`new` where the mask is set, else `old`."""
    if where.all():
        return new
    code_of = {text: code for code, text in enumerate(old.values)}
    codes = np.fromiter((code_of.setdefault(text, len(code_of)) for text in new.values), np.int32)
    values = np.empty(len(code_of), object)
    values[:] = list(code_of)
    return LabelColumn(np.where(where, codes[new.codes], old.codes), values)


def _relabelled(vector: Vector, name: str, column: LabelColumn, where: Bools) -> Vector:
    """With this label; a metric's name that is set stays, whatever was to be dropped."""
    drop_name = vector.drop_name
    if name == NAME and drop_name is not None:
        drop_name = drop_name & ~where
    return merged(replace(vector, labels=vector.labels.with_column(name, column), drop_name=drop_name))


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


def template_parts(template: str) -> list[str | int | tuple[str]]:
    """Literal text, numbers of groups and (names of groups): `$1`, `${name}`, `$$` for a dollar. Names are as long as can be."""
    parts: list[str | int | tuple[str]] = []
    end = 0
    for reference in _REFERENCE.finditer(template):
        parts.append(template[end : reference.start()])
        name = reference[1] or reference[2]
        parts.append("$" if name is None else int(name) if name.isdecimal() else (name,))
        end = reference.end()
    return [*parts, template[end:]]


def filled(expression: Pattern, parts: Sequence[str | int | tuple[str]], value: str) -> str | None:
    """The template for a value that matches, None for one that doesn't; a group that there is not is empty."""
    match = expression.match(value)
    if match is None:
        return None
    groups = (match.group(0), *match.groups())

    def text(part: str | int | tuple[str]) -> str:
        if isinstance(part, str):
            return part
        number = expression.groupindex.get(part[0], len(groups)) if isinstance(part, tuple) else part
        return (groups[number] or "") if number < len(groups) else ""

    return "".join(map(text, parts))


def label_join(context: Context, vector: Vector, to: Text, separator: Text, *sources: Text) -> Vector:
    """The label `to` becomes the values of the sources, joined."""
    for source in sources:
        if not is_label_name(source.value):
            raise EvaluationError(f"invalid source label name in label_join(): {source.value}")
    if not is_label_name(to.value):
        raise EvaluationError(f"invalid destination label name in label_join(): {to.value}")
    columns = [vector.labels.column(source.value).texts() for source in sources]
    rows = zip(*columns, strict=True) if columns else [()] * vector.labels.size
    joined = column_of([separator.value.join(row) for row in rows])
    return _relabelled(vector, to.value, joined, np.ones(vector.labels.size, bool))


def by_label(*, descending: bool) -> Callable[..., Vector]:
    """sort_by_label and sort_by_label_desc: in natural order of these labels, then in the order of all labels."""

    def sorted_vector(context: Context, vector: Vector, *names: Text) -> Vector:
        warn_of_sorting(context)
        ranks = np.empty(vector.labels.size, np.int64)
        ranks[label_order(vector.labels)] = np.arange(vector.labels.size)
        keys = [ranks, *(natural_ranks(vector.labels.column(name.value)) for name in reversed(names))]
        order = np.lexsort(keys)
        return take(vector, order[::-1] if descending else order)

    return sorted_vector


def natural_ranks(column: LabelColumn) -> Ints:
    """(n,) the place of each series by its value, numbers within texts as numbers: `cpu2` before `cpu10`."""
    values: list[str] = list(column.values)
    by_value = cmp_to_key(natural)
    order = sorted(range(len(values)), key=lambda index: by_value(values[index]))
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values))
    return ranks[column.codes]


_CHUNK = re.compile(r"\d+|\D+", re.ASCII)


def natural(left: str, right: str) -> int:
    """Below zero if `left` comes first. Runs of digits compare as numbers, those with fewer leading zeros first."""
    left_chunks, right_chunks = _CHUNK.findall(left), _CHUNK.findall(right)
    for ours, theirs in zip(left_chunks, right_chunks, strict=False):
        if ours == theirs:
            continue
        if ours.isdecimal() and theirs.isdecimal():
            return (int(ours) - int(theirs)) or len(ours) - len(theirs)
        return -1 if ours < theirs else 1
    return len(left_chunks) - len(right_chunks)

"""Values of any kind as such that OTLP has a word for: what a program logs is not made for the wire.

str, bool, int, float, bytes and None stay what they are; lists, tuples, sets and mappings become tuples and dicts of such;
numbers of other kinds (numpy's) become int or float; exceptions their repr, everything else its str. Texts are cut, containers
too, and say so. Nothing here raises, whatever a value's own methods do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import islice
from numbers import Integral, Real
from typing import Any

LONGEST_TEXT = 64 * 1024
"""Characters of a text as it was given."""
LONGEST_SHOWN = 4096
"""Characters of the text that stands for an object."""
MOST_ITEMS = 128
DEEPEST = 6
"""Levels of containers."""
LARGEST, SMALLEST = (1 << 63) - 1, -(1 << 63)


def plain(value: Any, depth: int = 0) -> Any:
    """`value`, or what stands for it."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= LONGEST_TEXT else cut(value, LONGEST_TEXT)
    if kind is bool or kind is float or value is None:
        return value
    if kind is int:
        return value if SMALLEST <= value <= LARGEST else shown(value)
    try:
        return converted(value, depth)
    except Exception:
        return shown(value)


def converted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return cut(str(value), LONGEST_TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value[:LONGEST_TEXT])
    if isinstance(value, Mapping):
        if depth == DEEPEST:
            return shown(value)
        found = {key_of(key): plain(one, depth + 1) for key, one in islice(value.items(), MOST_ITEMS)}
        return found | {"...": more(len(value))} if len(value) > MOST_ITEMS else found
    if isinstance(value, (Sequence, Set)):
        if depth == DEEPEST:
            return shown(value)
        items = tuple([plain(one, depth + 1) for one in islice(value, MOST_ITEMS)])
        return (*items, more(len(value))) if len(value) > MOST_ITEMS else items
    if isinstance(value, Integral):
        return plain(int(value))
    return float(value) if isinstance(value, Real) else shown(value)


def more(count: int) -> str:
    return f"({count - MOST_ITEMS} more)"


def key_of(key: Any) -> str:
    """OTLP has no empty keys and no others than texts."""
    return (key if type(key) is str else cut(shown(key), LONGEST_SHOWN)) or "''"


def shown(value: Any) -> str:
    """The text that stands for an object."""
    try:
        return cut(repr(value) if isinstance(value, BaseException) else str(value), LONGEST_SHOWN)
    except Exception as error:
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"


def cut(text: str, longest: int) -> str:
    """The beginning of a long text, and how much more there was."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"


def cut_middle(text: str, longest: int) -> str:
    """Beginning and end of a long text, such as a stack trace."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} more characters) ...\n{text[-half:]}"

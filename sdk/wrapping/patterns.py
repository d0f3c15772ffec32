"""Which modules are meant: `shop.*` is shop and everything beneath, `billing.tax` exactly this one; otherwise as for file names."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import cache

NEVER = ("sonde.sdk", "opentelemetry", "wrapt")
"""What traces is not traced, nor is the standard library, whatever the pattern."""


def matching(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a module is meant by any of `patterns`, by its name."""
    meant = re.compile("|".join(map(expression, patterns)) or r"(?!)")

    @cache
    def matches(name: str) -> bool:
        return meant.fullmatch(name) is not None and not is_never_meant(name)

    return matches


def expression(pattern: str) -> str:
    if pattern.endswith(".*"):
        return f"{translate(pattern[:-2])}|{translate(pattern)}"
    return translate(pattern)


def is_never_meant(name: str) -> bool:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names and name != "__main__":
        return True
    return any(name == never or name.startswith(f"{never}.") for never in NEVER)

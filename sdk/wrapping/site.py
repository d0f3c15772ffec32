"""A function that is traced: what its spans say, and what its calls have cost and told."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Protocol

from sonde.sdk.functions import code_attributes, full_name

TOLD_EVERY = 1024
"""A power of two: so many calls that told nothing are told to the budget at once."""


class Purse(Protocol):
    """What calls are paid from, and who looks after them."""

    def pay_for_dropped(self, site: Site) -> None:
        """`TOLD_EVERY` calls, or so many times that a generator was resumed."""

    def pay_for_kept(self, site: Site, took_ns: int) -> None:
        """A call that was kept although it was short; `took_ns` to make its span."""

    def look_at_depth(self, sites: list[Site]) -> None:
        """So many calls are within one another, each of the function at its site."""


class Site:
    """Numbers are added to without a lock: threads that call at the same moment may lose one, which changes no verdict."""

    __slots__ = (
        "attributes",
        "code",
        "dropped",
        "function",
        "is_traced",
        "kept",
        "min_duration_ns",
        "name",
        "purse",
        "resumed",
        "short_ns",
        "spent_ns",
        "told",
    )

    def __init__(self, function: FunctionType, min_duration_ns: int, short_ns: int, purse: Purse) -> None:
        self.function = function
        self.name = full_name(function)
        self.attributes = code_attributes(function)
        self.min_duration_ns = min_duration_ns
        self.short_ns = short_ns
        """Calls from here on are not paid for."""
        self.purse = purse
        self.code: CodeType | None = None
        """That of the function itself, while other code is in its place."""
        self.is_traced = True
        self.dropped = self.kept = self.resumed = 0
        """Since the beginning."""
        self.spent_ns: float = 0
        self.told = 0
        """Since the purse was filled last: what short calls cost, and how many calls are spans."""

    def count_kept(self, lasted_ns: int, took_ns: int) -> None:
        self.kept += 1
        self.told += 1
        if lasted_ns < self.short_ns:
            self.purse.pay_for_kept(self, took_ns)

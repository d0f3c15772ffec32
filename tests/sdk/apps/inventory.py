"""A program whose functions are traced by pattern: tells what comes out of the package `warehouse`."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from sonde.sdk.instrumenting import current
from warehouse import shelves
from warehouse.sold import sell


async def arrive() -> None:
    await shelves.Shelf("b").move("moved")
    assert [item async for item in shelves.arrivals("arrived")] == [1]


def take_stock() -> None:
    assert shelves.HANDLERS["handle"]("handled") == 2
    assert shelves.Shelf("a").fill() == 3
    shelves.Shelf("a").check()
    assert list(shelves.items("listed")) == [1, 2]
    asyncio.run(arrive())
    with contextlib.suppress(LookupError):
        shelves.lose()
    sell(3)


def count_until_it_is_too_dear() -> None:
    traced = getattr(current(), "traced", None)
    assert traced is not None
    while not any(verdict.name == "warehouse.shelves.quiet" for verdict in traced.verdicts):
        for number in range(1000):
            shelves.quiet(number)


if __name__ == "__main__":
    take_stock()
    if "--count" in sys.argv:
        count_until_it_is_too_dear()
    instrumented = current()
    assert instrumented is not None
    print(instrumented.explain())

"""Functions of all kinds; those that query sqlite have something to tell."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator

HANDLERS: dict[str, Callable[[str], int]] = {}


def handler(function: Callable[[str], int]) -> Callable[[str], int]:
    """Holds the function from when it is defined, as routers do."""
    HANDLERS[function.__name__] = function
    return function


def query(table: str) -> None:
    sqlite3.connect(":memory:").cursor().execute(f"CREATE TABLE {table} (id INTEGER)")


def quiet(number: int) -> int:
    return number + 1


@handler
def handle(table: str) -> int:
    query(table)
    return quiet(1)


class Shelf:
    def __init__(self, name: str) -> None:
        self.name = name

    def fill(self) -> int:
        return quiet(2)

    def check(self) -> None:
        logging.getLogger("warehouse").warning("checked %s", self.name)

    async def move(self, table: str) -> None:
        await asyncio.sleep(0)
        query(table)


def items(table: str) -> Iterator[int]:
    yield 1
    query(table)
    yield 2


async def arrivals(table: str) -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(0)
    query(table)


def lose() -> None:
    raise LookupError("lost")

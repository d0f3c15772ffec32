"""One query's evaluation on a worker thread: a bounded number at once, each until its time is over or its client has gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from fastapi import Request
from sonde.query.promql.errors import QueryCancelled, QueryTimeout

T = TypeVar("T")

POLL_SECONDS = 0.1
"""How often it is looked whether the client is still there."""


class Stop:
    """Asked by the evaluation between its steps (`check`), told by the loop that watches the client (`cancel`)."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self.deadline = self._began + seconds
        self.waited_seconds = 0.0
        """For its turn."""
        self._cancelled = False

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def begin(self) -> None:
        """Its turn has come."""
        self.waited_seconds = time.monotonic() - self._began

    def cancel(self) -> None:
        self._cancelled = True

    def check(self) -> None:
        """Raises `QueryCancelled` or `QueryTimeout` where there is no use in going on."""
        if self._cancelled:
            raise QueryCancelled("query was canceled in query execution")
        if time.monotonic() > self.deadline:
            raise QueryTimeout("query timed out in query execution")


class Evaluations:
    """Lets `size` evaluations run at once. The others wait without holding a thread, within their own time.

    `setting`: what the size is called, for those that wait too long.
    """

    def __init__(self, size: int, setting: str) -> None:
        self._free = asyncio.Semaphore(size)
        self._setting = setting

    async def run(self, request: Request, work: Callable[[Stop], T], seconds: float) -> T:
        """`work(stop)` on a thread; raises `QueryTimeout` or `QueryCancelled` where it was stopped."""
        stop = Stop(seconds)
        watching = asyncio.create_task(_watch(request, stop))
        try:
            await self._enter(stop)
            try:
                return await to_thread.run_sync(_checked, work, stop)
            finally:
                self._free.release()
        finally:
            watching.cancel()

    async def _enter(self, stop: Stop) -> None:
        try:
            async with asyncio.timeout(stop.seconds_left):
                await self._free.acquire()
        except TimeoutError:
            raise QueryTimeout(f"query timed out in query queue ({self._setting})") from None


def _checked(work: Callable[[Stop], T], stop: Stop) -> T:
    stop.begin()
    stop.check()
    return work(stop)


async def _watch(request: Request, stop: Stop) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(POLL_SECONDS)
    stop.cancel()

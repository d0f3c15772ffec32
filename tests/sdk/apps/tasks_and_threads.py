"""A program of tasks and threads, which queries sqlite in each."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import trace

tracer = trace.get_tracer("concurrent")


def query(table: str) -> None:
    sqlite3.connect(":memory:").cursor().execute(f"CREATE TABLE {table} (id INTEGER)")
    logging.getLogger("concurrent").warning("made %s", table)


async def task(table: str) -> None:
    with tracer.start_as_current_span(table):
        await asyncio.sleep(0)
        query(table)


async def tasks() -> None:
    with tracer.start_as_current_span("tasks"):
        await asyncio.gather(task("first"), task("second"), asyncio.to_thread(query, "third"))


def threads() -> None:
    with tracer.start_as_current_span("threads"):
        thread = threading.Thread(target=query, args=("fourth",))
        thread.start()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(query, ("fifth", "sixth")))
        thread.join()


asyncio.run(tasks())
threads()

"""A program that logs by every library there is, sets up `logging` again and again, and ends by an exception."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import multiprocessing
import sys
import threading

import structlog
from loguru import logger as loguru
from opentelemetry import trace

log = logging.getLogger("words")
tracer = trace.get_tracer("words")


def fail(what: str) -> None:
    password = "hunter2"
    if password:
        raise ValueError(f"{what} has failed")


def logging_words() -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO"}})
    log.info("after dictConfig", extra={"things": [{"name": "tea", "left": 3}], "kind": ValueError})
    logging.basicConfig(force=True, level=logging.INFO, format="%(message)s")
    log.info("after basicConfig")
    apart = logging.getLogger("apart")
    apart.propagate = False
    apart.addHandler(logging.NullHandler())
    apart.warning("of a logger apart")
    log.debug("too low")


def structlog_words() -> None:
    structlog.get_logger().info("printed by structlog", thing="tea")
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    structlog.get_logger("words").warning("by structlog and logging", thing="tea")


def loguru_words() -> None:
    loguru.remove()
    loguru.add(sys.stdout, format="{message}")
    loguru.bind(thing="tea").info("by loguru")
    loguru.add(lambda message: log.info(message.rstrip()), format="{message}")
    loguru.info("by loguru and logging")


async def tasks() -> None:
    async def work() -> None:
        with tracer.start_as_current_span("in a task"):
            fail("the task")

    task = asyncio.create_task(work(), name="work")
    await asyncio.wait([task])


with tracer.start_as_current_span("words"):
    logging_words()
    structlog_words()
    loguru_words()
    thread = threading.Thread(target=fail, args=("the thread",), name="worker")
    thread.start()
    thread.join()
    child = multiprocessing.get_context("fork").Process(target=fail, args=("the child",))
    child.start()
    child.join()
asyncio.run(tasks())
hook = sys.excepthook
sys.excepthook = lambda *args: (print("its own hook", flush=True), hook(*args))[1] if len(sys.argv) < 2 else None
with tracer.start_as_current_span("the end"):
    fail("the program")

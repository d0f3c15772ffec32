"""The embedded engine (chDB): one path a process, one handle a thread, kept small enough for a laptop."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver._chdbclient import build_connection_string
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError
from sonde.storage.errors import StoreLocked, StoreUnavailable
from sonde.storage.quoting import identifier, literal

MIB = 1 << 20

ENGINE_OPTIONS: Mapping[str, int] = {
    # ClickHouse's own defaults are a server's: several caches of 5 GiB.
    "mark_cache_size": 128 * MIB,
    "primary_index_cache_size": 128 * MIB,
    "index_mark_cache_size": 64 * MIB,
    "text_index_tokens_cache_size": 64 * MIB,
    "text_index_header_cache_size": 64 * MIB,
    "text_index_postings_cache_size": 128 * MIB,
    "vector_similarity_index_cache_size": 1 * MIB,
    "parquet_metadata_cache_size": 1 * MIB,
    "iceberg_metadata_files_cache_size": 1 * MIB,
    "compiled_expression_cache_size": 32 * MIB,
    "query_condition_cache_size": 64 * MIB,
    "background_schedule_pool_size": 4,
    "asynchronous_metrics_update_period_s": 60,
    "max_server_memory_usage": 0,
}
"""Server settings of the embedded engine. One of the same name in the store's settings goes before these.
`max_server_memory_usage` 0 stands for half of the machine's memory, 1 GiB at least."""


def connector(url: str, settings: dict[str, Any]) -> Callable[[], Client]:
    """Opens handles to the engine at `url`; the first one starts the engine. Raises StoreLocked, StoreUnavailable."""
    path = folder(url)
    options = {name: settings.pop(name, value) for name, value in ENGINE_OPTIONS.items()}
    options["max_server_memory_usage"] = options["max_server_memory_usage"] or memory_limit()

    def connect() -> Client:
        try:
            return clickhouse_connect.get_client(
                interface="chdb", path=path, chdb_options=options, settings=dict(settings)
            )
        except ProgrammingError as error:
            raise why_not_opened(path, str(error)) from error

    return connect


def connection_string(url: str) -> str:
    """What chDB itself calls the engine that `connector(url, {})` starts: for another handle to it in this process."""
    options = {**ENGINE_OPTIONS, "max_server_memory_usage": memory_limit()}
    return build_connection_string(folder(url), options)


def folder(url: str) -> str:
    """`chdb:///abs` -> `/abs`, `chdb://./rel` -> the absolute path of it, `chdb://:memory:` -> `:memory:`."""
    path = url.removeprefix("chdb://")
    if not path:
        raise ValueError(f"{url!r} names no folder: write chdb:///absolute/path or chdb://./relative/path.")
    if path == ":memory:":
        return path
    path = os.path.abspath(os.path.expanduser(path))
    os.makedirs(path, exist_ok=True)
    return path


def memory_limit() -> int:
    """Half of the machine's memory in bytes, 1 GiB at least."""
    return max(1024 * MIB, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def why_not_opened(path: str, said: str) -> StoreLocked | StoreUnavailable:
    """The error for an engine that would not start, from what it said and who holds its lock."""
    if other := re.search(r"already initialized with path '(.*?)'", said):
        return StoreLocked(
            f"this process has the embedded store {other[1]} open and can't open {path} beside it: close the first store, "
            "or use another process."
        )
    if (holder := lock_holder(path)) is not None:
        return StoreLocked(
            f"the embedded store {path} is open in another process{holder}: stop that one, give this one another folder, or "
            "share a ClickHouse server between them (--store http://user:password@host:8123/)."
        )
    return StoreUnavailable(
        f"the embedded store {path} can't be opened: {said} Check that the folder is writable, that its disk has room, and "
        "that it was not written by a newer version."
    )


def lock_holder(path: str) -> str | None:
    """` (pid N)` of the process that holds the engine's lock on `path`, as far as it is known; None where it is free."""
    status = os.path.join(path, "status")
    try:
        with open(status, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = re.search(rb"PID: (\d+)", lock.read(4096))
                return f" (pid {int(pid[1])})" if pid else ""
    except OSError:
        return None
    return None


def insert(
    client: Client, table: str, block: bytes | memoryview, columns: Sequence[str], settings: Mapping[str, Any], fmt: str
) -> None:
    """Insert rows in format `fmt`.

    The engine reads inserts from files only. Where the system has them the file is a piece of anonymous memory: nothing
    reaches the disk, and nothing is left behind by a process that is killed. Elsewhere the client makes a temporary file.
    """
    if not hasattr(os, "memfd_create"):
        client.raw_insert(table, columns, bytes(block), settings=dict(settings), fmt=fmt)
        return
    handle = os.memfd_create("sonde-insert", os.MFD_CLOEXEC)
    try:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(handle, rest) :]
        client.command(
            f"INSERT INTO {identifier(table)} ({', '.join(map(identifier, columns))}) FROM INFILE '/proc/self/fd/{handle}' "
            f"SETTINGS {', '.join(f'{key} = {literal(value)}' for key, value in settings.items())} FORMAT {fmt}"
        )
    finally:
        os.close(handle)

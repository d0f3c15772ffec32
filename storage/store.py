"""The store: one ClickHouse, embedded in this process or behind HTTP, through clickhouse-connect alone.

Threads may share a `Store`; each gets a client of its own (an embedded handle serializes its calls, and a client keeps
session state). What goes wrong is one of the errors of `errors.py`, told apart by whether trying again may help.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from sonde.storage import embedded, server
from sonde.storage.errors import StoreRefused, StoreUnavailable
from sonde.storage.frame import Frame, as_frame
from sonde.storage.native_blocks import NativeBlock, read_blocks
from sonde.storage.overload import translated
from sonde.storage.quoting import identifier, literal

Answer = TypeVar("Answer")

INSERT_SETTINGS: Mapping[str, Any] = {
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
    # Views are planned anew for each insert; optimizing their plans costs a small one a fourth of its time and gains nothing.
    "query_plan_enable_optimizations": 0,
    # On a cluster an insert returns when the shards have it.
    "distributed_foreground_insert": 1,
    # Records may be of any day within the retention, which may be longer than the engine's default of 100 partitions.
    "max_partitions_per_insert_block": 0,
}
AS_ONE_BLOCK: Mapping[str, Any] = {
    # A Native block is taken as it comes, neither cut nor held back to be joined with a next one.
    "max_insert_block_size": 1 << 30,
    "min_insert_block_size_rows": 0,
    "min_insert_block_size_bytes": 0,
}
CHUNK_BYTES = 1 << 18
READ_FORMATS = {"DateTime64": "int", "DateTime": "int", "FixedString": "bytes"}


def open_store(url: str, *, database: str = "sonde", settings: Mapping[str, Any] | None = None) -> Store:
    """The store at `url`, its database created if it is missing.

    `url`: `chdb:///abs/path`, `chdb://./relative`, `chdb://:memory:` or `http(s)://user:password@host:port/`.
    `settings`: ClickHouse settings of every query; for chdb those of `embedded.ENGINE_OPTIONS` are the engine's own.
    StoreLocked: another process has the path open. StoreUnavailable: no server there. ValueError: no such kind of URL.

    An embedded store must be opened after any fork: the engine's threads do not survive one.
    """
    scheme = url.partition("://")[0]
    if scheme == "chdb":
        connect = embedded.connector(url, dict(settings or {}))
    elif scheme in ("http", "https"):
        connect = server.connector(url, dict(settings or {}))
    else:
        raise ValueError(f"{url!r} is no store: write chdb:///path or http(s)://user:password@host:port/.")
    store = Store(server.without_password(url), database, connect)
    try:
        store.create_database()
    except BaseException:
        store.close()
        raise
    return store


class Store:
    """Thread-safe. Times come and go as integers: see `Frame`."""

    def __init__(self, url: str, database: str, connect: Callable[[], Client]) -> None:
        self.url = url
        self.database = database
        self.embedded = url.startswith("chdb:")
        self._connect = connect
        self._own = threading.local()
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._changes = 0

    @property
    def changes(self) -> int | None:
        """Grows with every insert and statement that may have changed a row; None where others than this store may change some."""
        return self._changes if self.embedded else None

    def insert_block(self, table: str, block: bytes | memoryview, columns: Sequence[str], *, token: str) -> int:
        """Insert one Native block (`native.encode_block`); returns its rows.

        `columns`: the names in the block, in its order. Two inserts with the same `token` into one table store the block
        once, in the table and in everything its materialized views fill, within the table's
        `non_replicated_deduplication_window`. On return the block is durable and visible.
        StoreUnavailable: insert it again, with the same token. StoreRefused: the block itself is at fault.
        """
        self.insert_file(table, block, columns, fmt="Native", token=token)
        return rows_in(block)

    def insert_file(
        self, table: str, body: bytes | memoryview, columns: Sequence[str], *, fmt: str, token: str
    ) -> None:
        """Insert rows in any of ClickHouse's formats. `columns`: those the body has. Errors as `insert_block`."""
        settings = {**INSERT_SETTINGS, **(AS_ONE_BLOCK if fmt == "Native" else {}), "insert_deduplication_token": token}
        insert = embedded.insert if self.embedded else server.insert
        try:
            self._call(
                lambda client: insert(client, table, body, columns, settings, fmt), f"insert into {table}", insert=True
            )
        finally:
            self._changed()

    def raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> bytes:
        """The answer to `sql` in the format it names with `FORMAT`, as the engine writes it."""
        return self._call(lambda client: client.raw_query(sql, bound(parameters)), "query")

    def blocks(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> Iterator[NativeBlock]:
        """The answer to `sql` as columns of arrays (`native_blocks.py`), block by block.

        An eighth of the work of `select` beside the engine's own: 2.4 million rows of four numbers, 0.18 s of CPU against 1.46.
        A server's answer is read as it comes; the embedded engine's is in memory as a whole, so bound its rows by a setting.
        """
        wanted = dict(settings or {})
        if self.embedded:
            # The client would set them by statements of their own, and reset them: 5 ms of the 6 that a small answer takes.
            given = sql + settings_clause(wanted)

            # Its answer is whole when it comes, so the thread's own client will do: opening one costs as much as a statement.
            def whole(client: Client) -> bytes:
                return client.raw_query(given, bound(parameters), fmt="Native")

            yield from read_blocks(iter((self._call(whole, "query"),)))
            return
        # Otherwise what goes wrong half way arrives as text within the blocks.
        wanted["wait_end_of_query"] = 1
        client = self._translate(self._open, "query", insert=False)
        try:
            stream: Any = self._translate(
                lambda: client.raw_stream(sql, bound(parameters), settings=wanted, fmt="Native"), "query", insert=False
            )
            with stream:
                chunks = iter(lambda: self._translate(lambda: stream.read(CHUNK_BYTES), "query", insert=False), b"")
                yield from read_blocks(chunks)
        finally:
            client.close()

    def select(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> Frame:
        """The whole answer to `sql`. Values go in as `{name:Type}` placeholders, bound by the engine."""

        def work(client: Client) -> Frame:
            found = read(client, sql, parameters, settings)
            return nothing(client, sql, parameters, settings) if found is None else found

        return self._call(work, "query")

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The answer to `sql` as a dict a row, in plain Python values."""
        frame = self._call(lambda client: read(client, sql, parameters, settings), "query")
        return [] if frame is None else list(frame.rows())

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> Iterator[Frame]:
        """The answer to `sql` block by block, with a few blocks in memory at a time.

        Runs on a client of its own, so that the thread may query meanwhile and the iterator may change threads. Close
        the iterator (`contextlib.closing`) where it may not be read to its end.
        """
        client = self._translate(self._open, "query", insert=False)
        try:
            stream = self._translate(
                lambda: client.query_column_block_stream(
                    sql, parameters=bound(parameters), settings=dict(settings or {}), query_formats=READ_FORMATS
                ),
                "query",
                insert=False,
            )
            with stream:
                source: Any = stream.source
                names, types = source.column_names, [kind.name for kind in source.column_types]
                blocks = iter(stream)
                while (block := self._translate(lambda: next(blocks, None), "query", insert=False)) is not None:
                    yield as_frame(names, types, block)
        finally:
            client.close()

    def command(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Run a statement that answers nothing (DDL, ALTER, OPTIMIZE)."""
        try:
            self._call(
                lambda client: client.command(sql, bound(parameters), settings=dict(settings or {})), "statement"
            )
        finally:
            self._changed()

    def create_database(self) -> None:
        """Create the store's database where it is missing."""
        sql = "SELECT count() AS known FROM system.databases WHERE name = {name:String}"
        if not self.select(sql, {"name": self.database})["known"][0]:
            self.command(f"CREATE DATABASE IF NOT EXISTS {identifier(self.database)}")
        with self._lock:
            self._database_known = True
            for client in list(self._clients):
                client.database = self.database

    _database_known = False

    def ping(self) -> None:
        """StoreUnavailable where the store does not answer."""
        self._call(lambda client: client.command("SELECT 1", use_database=False), "ping")

    def close(self) -> None:
        """Close every client; an embedded engine is shut down with its last one. Calls after this are refused."""
        with self._lock:
            self._closed = True
            clients = list(self._clients)
        for client in clients:
            client.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _changed(self) -> None:
        with self._lock:
            self._changes += 1

    def _open(self) -> Client:
        """A new client, known to `close`."""
        client = self._connect()
        with self._lock:
            closed = self._closed
            if not closed:
                self._clients.add(client)
                client.database = self.database if self._database_known else None
        if closed:
            client.close()
            raise StoreUnavailable(f"the store {self.url} is closed.")
        return client

    def _call(self, work: Callable[[Client], Answer], what: str, *, insert: bool = False) -> Answer:
        """`work` on this thread's client, opened on first use."""

        def on_client() -> Answer:
            client = getattr(self._own, "client", None)
            if client is None:
                client = self._own.client = self._open()
            try:
                return work(client)
            except ClickHouseError:
                # What the embedded engine had written of an answer before it failed would stand in front of the next one's. The
                # new client comes first: the engine goes with its last one.
                if self.embedded and not self._closed:
                    self._own.client = self._open()
                    client.close()
                raise

        if self._closed:
            raise StoreUnavailable(f"the store {self.url} is closed.")
        return self._translate(on_client, what, insert=insert)

    def _translate(self, work: Callable[[], Answer], what: str, *, insert: bool) -> Answer:
        try:
            return work()
        except ClickHouseError as error:
            if self._closed:
                raise StoreUnavailable(f"the store {self.url} is closed.") from error
            raise translated(error, f"{what} at {self.url}", insert=insert) from error
        except (OSError, MemoryError) as error:
            raise StoreUnavailable(f"{what} at {self.url} did not get through: {error}") from error


def read(
    client: Client, sql: str, parameters: Mapping[str, Any] | None, settings: Mapping[str, Any] | None
) -> Frame | None:
    """The whole answer to `sql`; None where it has no rows, since the engine sends not even its columns then."""
    result = client.query(sql, parameters=bound(parameters), settings=dict(settings or {}), query_formats=READ_FORMATS)
    if not result.column_names:
        return None
    return as_frame(result.column_names, [kind.name for kind in result.column_types], result.result_columns)


def nothing(
    client: Client, sql: str, parameters: Mapping[str, Any] | None, settings: Mapping[str, Any] | None
) -> Frame:
    """The frame of an answer without rows: its columns are asked for apart."""
    try:
        described = client.query(f"DESCRIBE TABLE ({sql})", parameters=bound(parameters), settings=dict(settings or {}))
    except DatabaseError:
        return Frame((), (), ())
    names, types = [row[0] for row in described.result_rows], [row[1] for row in described.result_rows]
    return as_frame(names, types, [()] * len(names))


def settings_clause(settings: Mapping[str, Any]) -> str:
    """What stands behind a SELECT; empty for none."""
    return (
        f"\nSETTINGS {', '.join(f'{name} = {literal(value)}' for name, value in settings.items())}" if settings else ""
    )


def bound(parameters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Parameters for the client, which wants a dict and, where there are none, None (`%` stays what it is)."""
    return dict(parameters) if parameters else None


def rows_in(block: bytes | memoryview) -> int:
    """The number of rows of a Native block, from its head: VarUInt columns, VarUInt rows."""
    numbers, value, shift = [], 0, 0
    for byte in bytes(block[:20]):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
            if len(numbers) == 2:
                return numbers[1]
    raise StoreRefused("that is no Native block: it ends within its head.")

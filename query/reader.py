"""How one request reads the store: for one tenant, within the limits, a bounded number at a time."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sonde.query.config import QueryConfig
from sonde.query.errors import Busy
from sonde.query.parts import Parts, PartsNow, parts_now
from sonde.storage.frame import Frame
from sonde.storage.native_blocks import NativeBlock
from sonde.storage.schema import Column, Table

if TYPE_CHECKING:
    from sonde.query.prometheus.held import HeldSeries, TenantSeries
    from sonde.query.prometheus.held_points import HeldPoints
    from sonde.storage.store import Store

Row = dict[str, Any]


class Gate:
    """Lets `size` questions through at once; the others wait, up to `seconds`."""

    def __init__(self, size: int, seconds: float) -> None:
        self._free = threading.BoundedSemaphore(size)
        self._seconds = seconds

    @contextmanager
    def entered(self, *, wait: bool = True) -> Iterator[None]:
        if not self._free.acquire(timeout=self._seconds if wait else 0):
            raise Busy(
                "As many questions as query_max_concurrent allows are being answered.",
                hint="Try again in a moment, or raise query_max_concurrent.",
                retry_after_seconds=1,
            )
        try:
            yield
        finally:
            self._free.release()


class Reader:
    """Questions of one tenant. `{tenant:String}` is bound in every statement.

    Statements carry limits on time, memory and rows read; the engine stops one that passes them, and the caller sees
    `TooHeavy`. Blocking: call it on a worker thread.
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        config: QueryConfig,
        gate: Gate,
        exports: Gate,
        held: HeldSeries | None = None,
        points: HeldPoints | None = None,
        parts: PartsNow | None = None,
    ) -> None:
        self.tenant = tenant
        self.config = config
        self._store = store
        self._gate = gate
        self._exports = exports
        self._held = held
        self.held_points = points
        self._held_now: TenantSeries | None = None
        self._parts_now = parts.of if parts else parts_now
        self._parts: Parts | None = None

    def parts(self) -> Parts:
        """`parts_now`, when this reader first asked."""
        if self._parts is None:
            self._parts = self._parts_now(self)
        return self._parts

    def held_series(self) -> TenantSeries | None:
        """The tenant's series that are in memory, as they were when this reader first asked; None where none can be."""
        if self._held is not None and self._held_now is None:
            self._held_now = self._held.of(self)
        return self._held_now

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Frame:
        with self._gate.entered():
            return self._store.select(
                sql, self._bound(parameters), settings=self._limits(self.config.query_max_seconds)
            )

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """An answer that may well be empty is cheaper this way: a frame without rows is described by a second statement."""
        with self._gate.entered():
            return self._store.rows(sql, self._bound(parameters), settings=self._limits(self.config.query_max_seconds))

    def blocks(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, most_rows: int = 0
    ) -> Generator[NativeBlock]:
        """Arrays, block by block: what large answers are read as. Close it where it may not be read to its end.

        The engine refuses an answer of more than `most_rows` (0: any number) before it is sent.
        """
        limits = self._limits(self.config.query_max_seconds)
        if most_rows:
            limits |= {"max_result_rows": most_rows, "result_overflow_mode": "throw"}
        with self._gate.entered():
            yield from self._store.blocks(sql, self._bound(parameters), settings=limits)

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Holds one of the places for exports, which are long: another one is told at once that there is none left."""
        with self._exports.entered(wait=False):
            yield

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, block_rows: int = 8192
    ) -> Generator[Frame]:
        """Blocks of at most about `block_rows` rows; close the iterator where it may not be read to its end."""
        settings = {**self._limits(self.config.query_export_max_seconds), "max_block_size": block_rows}
        del settings["max_rows_to_read"]
        yield from self._store.stream(sql, self._bound(parameters), settings=settings)

    def _bound(self, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**(parameters or {}), "tenant": self.tenant}

    def _limits(self, seconds: float) -> dict[str, Any]:
        return {
            "max_execution_time": seconds,
            "max_memory_usage": self.config.query_max_memory_mib << 20,
            "max_rows_to_read": self.config.query_max_rows_read,
            # On a cluster, what stands in an IN (SELECT ...) is asked of every shard, not of each its own.
            "distributed_product_mode": "global",
        }


def select_list(table: Table) -> str:
    """Every column of `table` but the tenant. A map `m` is read as `m_pairs`, an array of (key, value), since a key may
    occur twice; under a name of its own, because an alias `m` would hide the column from WHERE."""
    return ",\n  ".join(selected(column) for column in table.columns if column.name != "tenant")


def selected(column: Column) -> str:
    if column.type.startswith("Map("):
        return f"arrayZip(mapKeys(`{column.name}`), mapValues(`{column.name}`)) AS `{column.name}_pairs`"
    if column.type.startswith("Array(Map("):
        return f"arrayMap(m -> arrayZip(mapKeys(m), mapValues(m)), `{column.name}`) AS `{column.name}_pairs`"
    return f"`{column.name}`"


def row_hash(table: Table) -> str:
    """A hash of the whole row: rows that are equal in what sorts them need an order too, the same one on every page."""
    return f"cityHash64({', '.join(hashed(column) for column in table.columns if column.name != 'tenant')})"


def hashed(column: Column) -> str:
    name = f"`{column.name}`"
    return f"isNull({name}), ifNull({name}, 0)" if column.type.startswith("Nullable(") else name

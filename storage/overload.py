"""What a ClickHouse error means for the caller: try again, or not."""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError, ProgrammingError
from sonde.storage.errors import StoreError, StoreRefused, StoreUnavailable

PASSING = {
    159: "TIMEOUT_EXCEEDED",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    439: "CANNOT_SCHEDULE_TASK",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}
"""ClickHouse error codes that say the engine can't now, not that the statement is wrong."""

NOT_THE_BLOCKS_FAULT = {
    16: "NO_SUCH_COLUMN_IN_TABLE",
    60: "UNKNOWN_TABLE",
    81: "UNKNOWN_DATABASE",
    164: "READONLY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
}
"""What an insert may meet while the store is being set up, migrated or given new passwords: its data must wait for it."""


def translated(error: ClickHouseError, what: str, *, insert: bool) -> StoreError:
    """The storage error that stands for `error`, which `what` met."""
    code = getattr(error, "code", None)
    said = str(error).strip() or type(error).__name__
    if code in PASSING or (insert and code in NOT_THE_BLOCKS_FAULT):
        return StoreUnavailable(f"{what} did not get through for now: {said}")
    if code is None and isinstance(error, OperationalError) and not isinstance(error, ProgrammingError):
        return StoreUnavailable(f"{what} got no answer: {said}")
    if code is None and re.search(r"HTTP status (429|5\d\d)", said):
        return StoreUnavailable(f"{what} got no answer: {said}")
    return StoreRefused(f"{what} was refused: {said}")

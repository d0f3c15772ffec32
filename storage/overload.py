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
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    77: "CANNOT_CLOSE_FILE",
    81: "UNKNOWN_DATABASE",
    88: "CANNOT_TRUNCATE_FILE",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    164: "READONLY",
    172: "CANNOT_CREATE_DIRECTORY",
    173: "CANNOT_ALLOCATE_MEMORY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    204: "CANNOT_FSYNC",
    214: "CANNOT_STATVFS",
    294: "CANNOT_WRITE_TO_FILE",
    298: "CANNOT_PIPE",
    400: "CANNOT_STAT",
    424: "CANNOT_LINK",
    458: "CANNOT_UNLINK",
    460: "CANNOT_CREATE_TIMER",
    461: "CANNOT_SET_TIMER_PERIOD",
    463: "CANNOT_FCNTL",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    531: "CANNOT_FSTAT",
    573: "EPOLL_ERROR",
    586: "CANNOT_CREATE_FILE",
    635: "CANNOT_POLL",
}
"""What an insert may meet while the store is being set up, migrated or given new passwords, or where its machine is out of disk,
descriptors or memory: its data must wait for it."""
SYSTEM_ERROR = re.compile(r"filesystem error|No space left on device|Too many open files|bad_alloc|Input/output error")
"""In an error of the C++ library (STD_EXCEPTION), which has no code for each."""
STD_EXCEPTION = 1001


def translated(error: ClickHouseError, what: str, *, insert: bool) -> StoreError:
    """The storage error that stands for `error`, which `what` met."""
    code = getattr(error, "code", None)
    said = str(error).strip() or type(error).__name__
    if code in PASSING or (insert and code in NOT_THE_BLOCKS_FAULT):
        return StoreUnavailable(f"{what} did not get through for now: {said}")
    if insert and code == STD_EXCEPTION and SYSTEM_ERROR.search(said):
        return StoreUnavailable(f"{what} did not get through for now: {said}")
    if code is None and isinstance(error, OperationalError) and not isinstance(error, ProgrammingError):
        return StoreUnavailable(f"{what} got no answer: {said}")
    if code is None and re.search(r"HTTP status (429|5\d\d)", said):
        return StoreUnavailable(f"{what} got no answer: {said}")
    return StoreRefused(f"{what} was refused: {said}")

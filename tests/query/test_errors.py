"""What the store's errors mean to whoever asked."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from sonde.query.errors import from_store
from sonde.storage.errors import StoreError, StoreLocked, StoreRefused, StoreUnavailable


def raised(kind: type[StoreError], code: int, said: str = "said the engine") -> StoreError:
    try:
        raise kind(said) from DatabaseError(said, code=code)
    except StoreError as error:
        return error


@pytest.mark.parametrize(
    ("error", "status", "code", "named"),
    [
        (raised(StoreUnavailable, 159), 422, "too_heavy", "query_max_seconds"),
        (raised(StoreRefused, 160), 422, "too_heavy", "query_max_seconds"),
        (raised(StoreUnavailable, 241), 422, "too_heavy", "query_max_memory_mib"),
        (raised(StoreRefused, 158), 422, "too_heavy", "query_max_rows_read"),
        (raised(StoreUnavailable, 202), 503, "store_unavailable", "said the engine"),
        (StoreUnavailable("no server there"), 503, "store_unavailable", "no server there"),
        (StoreLocked("another process has it"), 503, "store_unavailable", "another process"),
        (
            raised(StoreRefused, 427, "cannot compile re2: (, error: missing ): (. Look at"),
            400,
            "invalid_parameter",
            "'('",
        ),
        (raised(StoreRefused, 427), 400, "invalid_parameter", "can't be compiled"),
        (raised(StoreRefused, 62), 500, "internal", "fault of sonde's"),
    ],
)
def test_an_error_of_the_store_says_what_to_do(error: StoreError, status: int, code: str, named: str) -> None:
    found = from_store(error)
    assert (found.status, found.code) == (status, code)
    assert named in found.message
    assert "syntax" not in found.message, "statements are not shown"
    assert found.hint


def test_what_may_pass_says_when_to_try_again() -> None:
    assert from_store(StoreUnavailable("gone")).retry_after_seconds == 1

"""The Store over the embedded engine and over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from clickhouse_http import ClickHouseFront, Gate
from sonde.storage.embedded import ENGINE_OPTIONS, folder
from sonde.storage.errors import StoreLocked, StoreRefused, StoreUnavailable
from sonde.storage.overload import NOT_THE_BLOCKS_FAULT, PASSING, translated
from sonde.storage.store import Store, open_store
from storage_rows import AT, insert_spans

REPOSITORY = Path(__file__).parents[2]


def test_a_block_goes_in_and_its_rows_come_out(any_store: Store) -> None:
    block = insert_spans(any_store, 500, "a")
    frame = any_store.select("SELECT time, trace_id, duration_nano, name, kind FROM spans ORDER BY time, span_id")
    assert len(frame) == 500
    assert frame["time"].dtype == np.int64
    assert frame["time"].tolist() == sorted(block["time"].tolist())
    assert frame["kind"].dtype == np.int32
    assert {len(trace_id) for trace_id in frame["trace_id"]} == {16}
    assert all(name.split()[1].startswith("/api/") for name in frame["name"])


def test_values_are_bound_by_the_engine(any_store: Store) -> None:
    hostile = "x' OR '1'='1\\ {name:String} %s \n\t"
    row = any_store.rows(
        "SELECT {text:String} AS text, {number:UInt64} AS number, {list:Array(String)} AS list, '100%' AS percent",
        {"text": hostile, "number": 2**64 - 1, "list": [hostile, "b"]},
    )
    assert row == [{"text": hostile, "number": 2**64 - 1, "list": [hostile, "b"], "percent": "100%"}]


FRAME = """
SELECT number::UInt64 AS u, -1.5::Float64 AS f, true AS b, 'ä'::String AS s, 'lc'::LowCardinality(String) AS l,
    'a\\0b\\0'::FixedString(4) AS x, if(number = 0, NULL, 2::Float64) AS n, [1, 2]::Array(UInt8) AS a,
    map('k'::LowCardinality(String), 1::Int64) AS m, fromUnixTimestamp64Nano({at:Int64}, 'UTC') AS t
FROM numbers(2)
"""


def test_a_frame_has_arrays_for_numbers_and_lists_for_the_rest(any_store: Store) -> None:
    frame = any_store.select(FRAME, {"at": AT + 1})
    assert {name: frame[name].dtype for name in "ufbt"} == {
        "u": np.uint64,
        "f": np.float64,
        "b": np.bool_,
        "t": np.int64,
    }
    assert frame["t"].tolist() == [AT + 1] * 2
    assert frame["s"] == ["ä", "ä"]
    assert frame["x"] == [b"a\0b\0"] * 2
    assert frame["n"] == [None, 2.0]
    assert list(frame.rows())[1] == {
        "u": 1,
        "f": -1.5,
        "b": True,
        "s": "ä",
        "l": "lc",
        "x": b"a\0b\0",
        "n": 2.0,
        "a": [1, 2],
        "m": {"k": 1},
        "t": AT + 1,
    }


def test_an_empty_answer_has_its_columns(any_store: Store) -> None:
    frame = any_store.select("SELECT time, name, duration_nano FROM spans WHERE duration_nano < 0")
    assert (len(frame), frame.names) == (0, ("time", "name", "duration_nano"))
    assert frame["time"].dtype == np.int64
    assert any_store.rows("SELECT time FROM spans") == []


def test_a_stream_comes_in_blocks_and_leaves_the_thread_free(any_store: Store) -> None:
    sql = "SELECT number AS n FROM numbers({rows:UInt64})"
    seen = 0
    blocks = 0
    with closing(any_store.stream(sql, {"rows": 200_000})) as stream:
        for frame in stream:
            assert any_store.rows("SELECT 1 AS one") == [{"one": 1}]
            seen += int(frame["n"].sum())
            blocks += 1
    assert seen == 200_000 * 199_999 // 2
    assert blocks > 1


def test_a_stream_may_be_left_early(any_store: Store) -> None:
    with closing(any_store.stream("SELECT number AS n FROM system.numbers LIMIT 10000000")) as stream:
        assert len(next(stream)) > 0
    assert any_store.rows("SELECT 1 AS one") == [{"one": 1}]


def test_settings_hold_for_one_query(any_store: Store) -> None:
    with pytest.raises(StoreRefused, match="readonly"):
        any_store.select("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", settings={"readonly": 1})
    any_store.command("CREATE TABLE written (a UInt8) ENGINE = Memory")
    sql = "SELECT getSetting('max_threads') AS n"
    assert any_store.rows(sql, settings={"max_threads": 1})[0]["n"] in (1, "1")


def test_threads_share_a_store(any_store: Store) -> None:
    found: list[Any] = []

    def work(number: int) -> None:
        found.append(any_store.rows("SELECT {n:UInt8} AS n, sleep(0.05) AS s", {"n": number})[0]["n"])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


def test_what_is_wrong_with_a_statement_is_told(any_store: Store) -> None:
    with pytest.raises(StoreRefused, match="nowhere"):
        any_store.select("SELECT * FROM nowhere")
    with pytest.raises(StoreRefused, match="Syntax error"):
        any_store.command("CREAT TABLE x")


def test_a_broken_block_is_refused(any_store: Store) -> None:
    with pytest.raises(StoreRefused):
        any_store.insert_block("spans", b"\x01\x02\x06tenant\x06String\x01", ["tenant"], token="x")


def test_an_insert_into_a_table_that_is_not_there_yet_may_be_tried_again(any_store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="later"):
        any_store.insert_block("later", b"\x01\x01\x01a\x05UInt8\x01", ["a"], token="x")


def test_too_little_memory_is_for_now(any_store: Store) -> None:
    sql = "SELECT count() AS n FROM (SELECT number AS a FROM numbers(10000000) GROUP BY a)"
    with pytest.raises(StoreUnavailable, match="MEMORY_LIMIT"):
        any_store.select(sql, settings={"max_memory_usage": 10_000_000, "max_bytes_before_external_group_by": 0})


def test_a_closed_store_says_so(any_store: Store) -> None:
    other = open_store(any_store.url, database=any_store.database) if any_store.embedded else any_store
    other.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        other.ping()


def test_clickhouse_goes_away_and_comes_back(http_store: Store, gate: Gate) -> None:
    http_store.ping()
    gate.shut()
    for attempt in (http_store.ping, lambda: insert_spans(http_store, 10, "a")):
        with pytest.raises(StoreUnavailable):
            attempt()
    gate.open()
    http_store.ping()
    insert_spans(http_store, 10, "a")
    insert_spans(http_store, 10, "a")
    assert http_store.rows("SELECT count() AS n FROM spans") == [{"n": 10}]


def test_an_overloaded_server_is_for_now(front: ClickHouseFront) -> None:
    with open_store(front.url, database="tests") as store:
        for code in (252, 202, 241):
            front.refuse(code)
            with pytest.raises(StoreUnavailable):
                insert_spans(store, 1, "a")
        front.refuse(None)
        store.ping()


def test_a_wrong_password_is_told_without_the_password(front: ClickHouseFront) -> None:
    url = front.url.replace("open%20sesame", "hunter2")
    with pytest.raises(StoreRefused, match="Authentication failed") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_for_now() -> None:
    with pytest.raises(StoreUnavailable):
        open_store("http://someone:hunter2@127.0.0.1:1/")


def test_a_second_process_is_told_who_has_the_store(engine: Store) -> None:
    code = "import sys\nfrom sonde.storage.store import open_store\nopen_store(sys.argv[1])"
    second = subprocess.run([sys.executable, "-c", code, engine.url], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    last = second.stderr.strip().splitlines()[-1]
    assert last.startswith("sonde.storage.errors.StoreLocked: the embedded store")
    assert f"(pid {os.getpid()})" in last


def test_a_second_path_in_one_process_is_told(engine: Store, tmp_path: Any) -> None:
    with pytest.raises(StoreLocked, match="beside it"):
        open_store(f"chdb://{tmp_path}/other")


@pytest.mark.parametrize("url", ["postgres://host/", "nothing", "chdb://", "http:///"])
def test_an_url_that_is_no_store_says_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="write"):
        open_store(url)


def test_a_relative_folder_is_one_below_the_working_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder("chdb://./data/store") == f"{tmp_path}/data/store"


def test_the_embedded_engine_is_kept_small(engine: Store) -> None:
    sql = "SELECT name, value FROM system.server_settings WHERE name IN {names:Array(String)}"
    live = {row["name"]: int(row["value"]) for row in engine.rows(sql, {"names": list(ENGINE_OPTIONS)})}
    expected = {**ENGINE_OPTIONS, "max_server_memory_usage": live["max_server_memory_usage"]}
    assert live == expected
    assert live["max_server_memory_usage"] >= 1 << 30


OUT_OF_DESCRIPTORS = """
import os, resource, sys
from sonde.storage.errors import StoreUnavailable
from sonde.storage.migrate import migrate
from sonde.storage.retention import FOR_EVER
from sonde.storage.store import open_store
from storage_rows import count, insert_spans

with open_store(sys.argv[1]) as store:
    migrate(store, retention=FOR_EVER)
    insert_spans(store, 10, "everything is loaded then")
    first_free, before = os.open(os.devnull, os.O_RDONLY), resource.getrlimit(resource.RLIMIT_NOFILE)
    failed = 0
    for few in range(10):  # where it fails depends on how many there are
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + few, before[1]))
        try:
            insert_spans(store, 10, f"block-{few}")
        except (StoreUnavailable, OSError):  # the engine's, or our own before it is asked
            failed += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        insert_spans(store, 10, f"block-{few}")
    print(count(store, "spans"), failed > 0)
"""


def test_an_engine_out_of_descriptors_is_for_now(tmp_path: Any) -> None:
    """Not the block's fault: it would go to quarantine for that. In a process of its own, which has the limit to itself."""
    path = os.pathsep.join(str(folder) for folder in (REPOSITORY, REPOSITORY / "tests", Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_DESCRIPTORS, f"chdb://{tmp_path}/store"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "110 True", done.stderr


def test_an_error_code_says_whether_to_try_again() -> None:
    for code in PASSING:
        assert isinstance(translated(DatabaseError("x", code=code), "it", insert=False), StoreUnavailable)
    for code in NOT_THE_BLOCKS_FAULT:
        assert isinstance(translated(DatabaseError("x", code=code), "it", insert=True), StoreUnavailable)
        assert isinstance(translated(DatabaseError("x", code=code), "it", insert=False), StoreRefused)
    full = DatabaseError("std::filesystem: No space left on device", code=1001)
    assert isinstance(translated(full, "it", insert=True), StoreUnavailable)
    assert isinstance(translated(DatabaseError("std::out_of_range", code=1001), "it", insert=True), StoreRefused)
    assert isinstance(translated(OperationalError("cut off"), "it", insert=False), StoreUnavailable)
    assert isinstance(
        translated(DatabaseError("HTTP driver received HTTP status 502"), "it", insert=True), StoreUnavailable
    )
    assert isinstance(
        translated(DatabaseError("HTTP driver received HTTP status 404"), "it", insert=True), StoreRefused
    )
    assert isinstance(translated(ProgrammingError("no"), "it", insert=True), StoreRefused)

"""The spool: what it acknowledged is on disk, whole, and a full disk is refused before it is full."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sonde.ingest.accounts import Count, Stream, Tally, total
from sonde.ingest.errors import Malformed, Overloaded, SpoolFull
from sonde.ingest.limits import Limits
from sonde.ingest.live_segments import LiveSegments
from sonde.ingest.segment import Contents, read_segment
from sonde.ingest.signals import Signal
from sonde.ingest.space import SpaceLimits
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder

TRACES = Stream("default", "traces")
PATIENCE = 60.0
"""Seconds that a test waits for what must come about, on a machine however busy."""
NEVER = 3600.0
"""Age of a segment that no test reaches."""


def contents_of(folder: SpoolFolder) -> list[Contents]:
    return [read_segment((folder.segments / segment.name).read_bytes()) for segment in folder.list()]


def tally_of(folder: SpoolFolder) -> dict[Stream, Tally]:
    tallies: dict[Stream, Tally] = {}
    for live in LiveSegments(folder).look().values():
        tallies.setdefault(live.file.stream, Tally()).merge(live.tally)
    return tallies


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def kept_in(folder: SpoolFolder) -> list[bytes]:
    """The bodies in the spool, in the order in which they came."""
    return [bytes(contents.body(frame)) for contents in contents_of(folder) for frame in contents.frames]


def put(spool: SpoolWriter, body: bytes, tenant: str = "default", signal: Signal = Signal.TRACES, records: int = 1):
    return spool.append(tenant, signal, body, received_unix_nano=time.time_ns(), records=records)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolWriter]:
    """Its segments are sealed when it is closed, and not before."""
    writer = SpoolWriter(tmp_path / "spool", segment_age_seconds=NEVER)
    yield writer
    writer.close()


def test_an_answered_request_is_in_the_file(spool: SpoolWriter):
    put(spool, b"one").result(PATIENCE)
    (contents,) = contents_of(spool.folder)
    assert [bytes(contents.body(frame)) for frame in contents.frames] == [b"one"]
    assert contents.opened.stream == TRACES


def test_streams_have_segments_of_their_own_with_their_limits(tmp_path: Path):
    limits = {signal: Limits(max_events=number) for number, signal in enumerate(Signal)}
    spool = SpoolWriter(tmp_path, limits=limits, segment_age_seconds=NEVER)
    futures = [put(spool, b"x", tenant, signal) for tenant in ("a", "b.c-d_e") for signal in Signal]
    for future in futures:
        future.result(PATIENCE)
    spool.close()
    found = {contents.opened.stream: contents.opened.limits for contents in contents_of(spool.folder)}
    assert found == {Stream(tenant, signal): limits[signal] for tenant in ("a", "b.c-d_e") for signal in Signal}
    assert all(segment.sealed and segment.stream in found for segment in spool.folder.list())


@pytest.mark.parametrize(
    "tenant", ["", ".", "..", "a/b", "../x", "a\0b", "-a", "_", "a" * 65, "ü", "a b", "a\n", "/etc"]
)
def test_a_tenant_that_is_no_name_is_refused(spool: SpoolWriter, tenant: str):
    with pytest.raises(Malformed, match="is not a name"):
        put(spool, b"x", tenant)
    spool.note_refused(tenant, Signal.LOGS, "malformed")  # a refusal is counted all the same, under no name


def test_many_threads_lose_and_mix_up_nothing(spool: SpoolWriter):
    def send(number: int) -> None:
        for i in range(20):
            put(spool, f"{number}/{i}".encode() * 100).result(PATIENCE)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept_in(spool.folder)) == sorted(
        f"{number}/{i}".encode() * 100 for number in range(32) for i in range(20)
    )


def test_all_that_comes_while_a_sync_runs_shares_the_next(spool: SpoolWriter, monkeypatch: pytest.MonkeyPatch):
    syncing, go_on = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow_disk(descriptor: int) -> None:
        syncing.set()
        assert go_on.wait(PATIENCE)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow_disk)
    futures = [put(spool, b"first")]
    assert syncing.wait(PATIENCE)
    futures += [put(spool, b"%d" % i) for i in range(500)]
    assert not any(future.done() for future in futures)  # nobody is answered before the disk has it
    go_on.set()
    for future in futures:
        future.result(PATIENCE)
    assert spool.syncs == 2
    assert len(kept_in(spool.folder)) == 501


def test_one_threads_requests_stay_in_order(spool: SpoolWriter):
    futures = [put(spool, str(i).encode()) for i in range(3000)]  # more than one writev takes
    for future in futures:
        future.result(PATIENCE)
    assert [int(body) for body in kept_in(spool.folder)] == list(range(3000))


def test_asyncio_waits_without_threads(spool: SpoolWriter):
    async def send(i: int) -> None:
        await spool.append_async("default", Signal.LOGS, b"%d" % i, received_unix_nano=1, records=1)

    async def main() -> None:
        await asyncio.gather(*(send(i) for i in range(200)))
        hung_up = asyncio.ensure_future(send(200))
        await asyncio.sleep(0)
        hung_up.cancel()
        await send(201)

    asyncio.run(main())
    assert tally_of(spool.folder)[Stream("default", "logs")].accepted == Count(202, 202)


def test_sealed_by_age_and_not_before(tmp_path: Path):
    """Two spools that differ in the age alone: the young one's segment is still open when the old one's is sealed."""
    young, old = (SpoolWriter(tmp_path / name, segment_age_seconds=age) for name, age in (("y", NEVER), ("o", 0.01)))
    for spool in (young, old):
        put(spool, b"x").result(PATIENCE)
    wait_until(lambda: [segment.sealed for segment in old.folder.list()] == [True])
    assert [segment.sealed for segment in young.folder.list()] == [False]
    young.close()
    old.close()


def test_sealed_by_size_within_one_group(tmp_path: Path):
    sealed = threading.Event()
    spool = SpoolWriter(tmp_path, segment_bytes=10_000, segment_age_seconds=NEVER, on_sealed=sealed.set)
    futures = [put(spool, bytes(3_000)) for _ in range(10)]
    for future in futures:
        future.result(PATIENCE)
    assert sealed.wait(PATIENCE)
    spool.close()
    segments = spool.folder.list()
    assert sum(len(contents.frames) for contents in contents_of(spool.folder)) == 10
    assert max(len(contents.frames) for contents in contents_of(spool.folder)) == 4
    assert segments == sorted(segments, key=lambda segment: segment.created_unix_nano)


def test_no_small_segments_pile_up_while_nobody_stores_them(tmp_path: Path):
    spool = SpoolWriter(tmp_path, segment_age_seconds=0.01)
    for i in range(40):
        put(spool, b"%d" % i).result(PATIENCE)
        time.sleep(0.01)
    assert len(spool.folder.list()) == 3
    oldest = spool.folder.list()[0]
    (spool.folder.segments / oldest.name).unlink()  # stored
    wait_until(lambda: all(segment.sealed for segment in spool.folder.list()))
    spool.close()


def test_requests_of_which_nothing_is_kept_are_counted_without_their_body(spool: SpoolWriter):
    spool.append("default", Signal.TRACES, b"x" * 1000, received_unix_nano=1, records=0, rejected=(4, 0, 1)).result(
        PATIENCE
    )
    spool.append("default", Signal.TRACES, b"", received_unix_nano=1, records=0).result(PATIENCE)
    spool.append("default", Signal.TRACES, b"kept", received_unix_nano=1, records=2, rejected=(0, 3)).result(PATIENCE)
    (contents,) = contents_of(spool.folder)
    assert [frame.body_length for frame in contents.frames] == [0, 0, 4]
    assert contents.tally.accepted == Count(2, 2)
    assert contents.tally.rejected == {
        "too_old": Count(1, 4),
        "in_the_future": Count(0, 3),
        "invalid_trace_id": Count(0, 1),
    }
    assert contents.tally.received == Count(3, 10)


def test_whole_refusals_are_counted_by_reason(tmp_path: Path):
    spool = SpoolWriter(tmp_path, segment_age_seconds=0.01)  # their patience is this age too
    for _ in range(3):
        spool.note_refused("default", Signal.TRACES, "malformed")
    spool.note_refused("default", Signal.TRACES, "spool_full", 512)
    spool.note_refused(None, None, "unauthenticated")
    wanted = Count(5, 512)
    wait_until(lambda: total(tally.received for tally in tally_of(spool.folder).values()) == wanted)
    spool.close()
    tallies = tally_of(spool.folder)
    assert tallies[TRACES].rejected == {"malformed": Count(3, 0), "spool_full": Count(1, 512)}
    assert tallies[Stream("_", "_")].received == Count(1, 0)
    assert spool.syncs == 0


def test_close_seals_and_then_refuses(tmp_path: Path):
    spool = SpoolWriter(tmp_path)
    future = put(spool, b"x")
    spool.note_refused(None, None, "unauthenticated")
    spool.close()
    future.result(0)
    assert [segment.sealed for segment in spool.folder.list()] == [True, True]
    assert list(spool.folder.receivers.iterdir()) == []
    with pytest.raises(Overloaded, match="stopping"):
        put(spool, b"y")


# -------------------------------------------------------------------- back-pressure


def test_full_by_bytes_until_the_store_catches_up(tmp_path: Path):
    # What is written at this moment may be counted twice for that long, so the limit leaves room for one request more.
    spool = SpoolWriter(tmp_path, space=SpaceLimits(max_bytes=110_000), segment_bytes=20_000)
    for _ in range(10):
        put(spool, bytes(9_000)).result(PATIENCE)
    with pytest.raises(SpoolFull, match="its limit is 110000") as refused:
        put(spool, bytes(29_000))
    assert refused.value.retry_after_seconds > 0
    wait_until(lambda: any(segment.sealed for segment in spool.folder.list()))
    for segment in spool.folder.list():
        if segment.sealed:
            (spool.folder.segments / segment.name).unlink()

    def accepts() -> bool:
        try:
            put(spool, bytes(9_000)).result(PATIENCE)
        except SpoolFull:
            return False
        return True

    wait_until(accepts)
    spool.close()


def test_the_limit_counts_what_other_receivers_wrote(tmp_path: Path):
    first = SpoolWriter(tmp_path, segment_age_seconds=NEVER)
    put(first, bytes(80_000)).result(PATIENCE)
    second = SpoolWriter(tmp_path, space=SpaceLimits(max_bytes=100_000))
    put(second, bytes(10_000)).result(PATIENCE)
    with pytest.raises(SpoolFull):
        put(second, bytes(10_000))
    first.close()
    second.close()


def test_full_by_age(tmp_path: Path):
    spool = SpoolWriter(tmp_path, space=SpaceLimits(max_age_seconds=0.1))
    put(spool, b"x").result(PATIENCE)
    time.sleep(0.5)  # that old at least, and the folder is looked at again
    with pytest.raises(SpoolFull, match="waits for the store"):
        put(spool, b"x")
    spool.close()


def test_full_by_the_disks_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.statvfs(tmp_path)
    blocks = real.f_blocks // 20 + 100  # the margin never exceeds a twentieth of the disk
    nearly_full = os.statvfs_result((real.f_bsize, real.f_frsize, real.f_blocks, blocks, blocks, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: nearly_full)
    spool = SpoolWriter(tmp_path, space=SpaceLimits(min_free_bytes=1 << 60))
    put(spool, bytes(1_000)).result(PATIENCE)
    with pytest.raises(SpoolFull, match="nearly full"):
        put(spool, bytes(100 * real.f_frsize))
    spool.close()


LIMITED = """
import resource, sys
import test_spool
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
test_spool.write_beyond_what_fits(sys.argv[1])
"""


def write_beyond_what_fits(path: str) -> None:
    """No file of this process may grow beyond 50 000 bytes: writing fails with an error of the kernel's, as on a full disk."""
    spool = SpoolWriter(path, segment_age_seconds=NEVER)
    put(spool, b"a" * 20_000).result(PATIENCE)
    with pytest.raises(SpoolFull, match="disk is full"):
        put(spool, b"b" * 40_000).result(PATIENCE)
    put(spool, b"c" * 20_000).result(PATIENCE)  # what fits is taken again
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    put(spool, b"d" * 60_000).result(PATIENCE)  # and all of it when there is room again
    spool.close()


def test_a_write_that_fails_leaves_no_torn_frame(tmp_path: Path):
    """In a process of its own: the limit would hold for the engine's files too."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], env=environment, check=True)
    folder = SpoolFolder(tmp_path)
    assert [body[:1] for body in kept_in(folder)] == [b"a", b"c", b"d"]
    sizes = [(folder.segments / segment.name).stat().st_size for segment in folder.list()]
    assert sizes == [contents.end for contents in contents_of(folder)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True, check=False, text=True
    )
    if made.returncode:
        pytest.skip(f"LOUD: no disk was filled, for want of the right to mount a tmpfs ({made.stderr.strip()})")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_refuses_and_recovers(small_disk: Path):
    spool = SpoolWriter(small_disk / "spool", space=SpaceLimits(min_free_bytes=0))
    ballast = small_disk / "ballast"
    put(spool, b"first").result(PATIENCE)
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(4 << 20))
    with pytest.raises(SpoolFull):
        put(spool, bytes(100_000)).result(PATIENCE)
    spool.note_refused("default", Signal.TRACES, "spool_full", 1)
    time.sleep(0.3)  # it may be tried meanwhile, and fails
    ballast.unlink()
    time.sleep(0.1)  # so long that the disk is looked at again
    put(spool, b"last").result(PATIENCE)
    spool.close()
    bodies = [
        bytes(contents.body(frame))
        for contents in contents_of(spool.folder)
        for frame in contents.frames
        if frame.records
    ]
    assert bodies == [b"first", b"last"]
    tally = tally_of(spool.folder)[TRACES]
    assert tally.received == Count(3, 3)
    assert total(tally.rejected.values()) == Count(1, 1)


def test_an_error_while_segments_are_sealed_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = SpoolWriter(tmp_path, segment_age_seconds=0.001)
    tried = threading.Event()

    def broken(*_: object) -> None:
        tried.set()
        raise PermissionError("the folder is not ours any more")

    with monkeypatch.context() as patch:
        patch.setattr(SpoolWriter, "_seal", broken)
        put(spool, b"before").result(PATIENCE)
        assert tried.wait(PATIENCE)
        put(spool, b"meanwhile").result(PATIENCE)
    put(spool, b"after").result(PATIENCE)
    spool.close()
    assert kept_in(spool.folder) == [b"before", b"meanwhile", b"after"]


def test_an_error_of_our_own_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = SpoolWriter(tmp_path, segment_bytes=1_000)
    put(spool, b"before").result(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr("sonde.ingest.open_segment.encode_request", lambda *arguments: 1 / 0)
        with pytest.raises(Overloaded, match="division by zero"):
            put(spool, b"lost").result(PATIENCE)
    with monkeypatch.context() as patch:  # later on, and in a segment that is full already
        patch.setattr("sonde.ingest.open_segment._write", lambda *arguments: 1 / 0)
        with pytest.raises(Overloaded, match="division by zero"):
            put(spool, b"lost" * 1_000).result(PATIENCE)
    put(spool, b"after").result(PATIENCE)
    spool.close()
    assert kept_in(spool.folder) == [b"before", b"after"]
    assert all(segment.sealed for segment in spool.folder.list())

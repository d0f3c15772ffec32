"""What a receiver leaves behind when it dies is cut at the last whole frame and sealed by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sonde.ingest.accounts import Stream
from sonde.ingest.limits import Limits
from sonde.ingest.recovery import recover
from sonde.ingest.segment import Opened, encode_request, read_segment
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
from sonde.ingest.spool_folder import SpoolFolder, segment_id

STREAM = Stream("default", "logs")
SEED = 99


def orphan_content(*bodies: bytes) -> tuple[bytes, list[int]]:
    content = Opened(STREAM, Limits(), 1, "0" * 16, SEED).encode()
    ends = [len(content)]
    for body in bodies:
        content += encode_request(SEED, body, 1, 1, ()) + body
        ends.append(len(content))
    return content, ends


def bodies_in(folder: SpoolFolder) -> list[bytes]:
    return [
        bytes(contents.body(frame))
        for segment in folder.list()
        for contents in [read_segment((folder.segments / segment.name).read_bytes())]
        for frame in contents.frames
    ]


@pytest.fixture
def folder(tmp_path: Path) -> SpoolFolder:
    folder = SpoolFolder(tmp_path / "spool")
    folder.create()
    return folder


def test_a_tail_torn_at_any_byte_is_cut(folder: SpoolFolder):
    bodies = [b"first", b"second body", b"third"]
    content, ends = orphan_content(*bodies)
    for cut in range(len(content) + 1):
        orphan = segment_id(cut, "ab" * 8, 1, STREAM)
        (folder.segments / f"{orphan}.open").write_bytes(content[:cut])
        sealed = recover(folder)
        if cut < ends[0]:
            assert sealed == []
            assert folder.list() == []
            continue
        assert sealed == [orphan]
        path = folder.segments / f"{orphan}.seg"
        whole = sum(end <= cut for end in ends) - 1
        assert path.stat().st_size == ends[whole]
        assert bodies_in(folder) == bodies[:whole]
        path.unlink()
    assert list(folder.receivers.iterdir()) == []


def test_damage_is_left_for_the_writer_to_judge(folder: SpoolFolder):
    content, ends = orphan_content(b"first", b"second", b"third")
    changed = bytearray(content)
    changed[ends[1] + 10] ^= 1
    orphan = segment_id(1, "ab" * 8, 1, STREAM)
    (folder.segments / f"{orphan}.open").write_bytes(changed)
    assert recover(folder) == [orphan]
    assert (folder.segments / f"{orphan}.seg").read_bytes() == changed


def test_what_a_living_receiver_owns_is_left_alone(folder: SpoolFolder):
    spool = SpoolWriter(folder.path, segment_age_seconds=3600)
    spool.append("default", Signal.LOGS, b"x", received_unix_nano=1, records=1).result(60)
    assert recover(folder) == []
    assert [segment.sealed for segment in folder.list()] == [False]
    other = SpoolWriter(folder.path, segment_age_seconds=3600)
    assert other.receiver != spool.receiver
    other.append("default", Signal.LOGS, b"y", received_unix_nano=1, records=1).result(60)
    assert [segment.sealed for segment in folder.list()] == [False, False]
    spool.close()
    other.close()
    assert bodies_in(folder) == [b"x", b"y"]


def test_a_strangers_file_is_left_alone(folder: SpoolFolder):
    for name in ("notes.txt", "x.open", "1-2-3.a.b.seg"):
        (folder.segments / name).write_text("mine")
    assert recover(folder) == []
    assert folder.list() == []
    assert len(list(folder.segments.iterdir())) == 3


RECEIVER = """
import sys, time
from sonde.ingest.signals import Signal
from sonde.ingest.spool import SpoolWriter
spool = SpoolWriter(sys.argv[1], segment_age_seconds=3600)
for number in range(1_000_000):
    body = f"{sys.argv[2]}/{number}".encode()
    spool.append("default", Signal.LOGS, body, received_unix_nano=1, records=1).result()
    print(number, flush=True)
"""


def start_receiver(folder: SpoolFolder, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RECEIVER, str(folder.path), name], stdout=subprocess.PIPE, text=True)


def test_two_receiver_processes_share_a_folder_and_one_is_killed(folder: SpoolFolder):
    receivers = {name: start_receiver(folder, name) for name in ("a", "b")}
    acknowledged: dict[str, int] = {}
    for name, process in receivers.items():
        assert process.stdout is not None
        for _ in range(50):
            acknowledged[name] = int(process.stdout.readline())
    os.kill(receivers["a"].pid, signal.SIGKILL)
    output, _ = receivers["a"].communicate()
    acknowledged["a"] = int(([str(acknowledged["a"]), *output.split("\n")[:-1]])[-1])
    time.sleep(0.05)
    (orphan,) = recover(folder)
    states = {segment.id: segment.sealed for segment in folder.list()}
    assert states.pop(orphan)
    assert list(states.values()) == [False]  # the one that lives writes on
    receivers["b"].kill()
    output, _ = receivers["b"].communicate()
    acknowledged["b"] = int(([str(acknowledged["b"]), *output.split("\n")[:-1]])[-1])
    assert len(recover(folder)) == 1
    found = bodies_in(folder)
    for name, last in acknowledged.items():
        mine = [body for body in found if body.startswith(name.encode())]
        assert mine[: last + 1] == [f"{name}/{number}".encode() for number in range(last + 1)]
        assert len(mine) <= last + 2  # at most the one that was on its way

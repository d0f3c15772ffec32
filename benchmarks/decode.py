"""From request bytes to Native bytes on one core: scan at the door, decode, encode; beside what else one could do.

    python -m benchmarks.decode [--requests 40] [--rounds 9] [--signal traces|logs|metrics]

A request's counts go from scan to decode in a frame, as they do through the spool; making and reading the frames is the spool's
part and not timed. `decode without counts` is what the writer does to a segment from before a restart. `C parser` is
`FromString` of the official protobuf classes alone, with not one field read from what it gives: a request at a time, and all
requests joined, as `decode` takes them. `twin` walks those objects into the same columns. Times are CPU time of this thread, the
least of all rounds; the cases take turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from typing import Any

from sonde.ingest.accounts import Stream
from sonde.ingest.counts import total
from sonde.ingest.decode import decode, warm
from sonde.ingest.decoded import Decoded
from sonde.ingest.limits import Limits
from sonde.ingest.scan import scan
from sonde.ingest.segment import Frame, Opened, encode_request, read_segment
from sonde.ingest.services import REQUESTS
from sonde.ingest.signals import Signal
from sonde.ingest.twin import decode_slowly
from sonde.ingest.twin_metrics import decode_metrics_slowly
from sonde.storage.native import encode_block
from sonde.storage.schema import table

from benchmarks import payload

PAYLOADS: dict[Signal, Callable[[int], list[bytes]]] = {
    Signal.TRACES: payload.trace_requests,
    Signal.LOGS: payload.log_requests,
    Signal.METRICS: payload.number_requests,
}
LIMITS = Limits()
RECEIVED = payload.AT_UNIX_NANO + 3600 * 10**9
TWIN_REQUESTS = 2
"""The twin is so slow that a few requests tell."""


def scanned(signal: Signal, bodies: list[bytes]) -> int:
    """What a receiver does: each request alone."""
    return sum(scan(signal, body, LIMITS, RECEIVED).accepted for body in bodies)


def framed(signal: Signal, bodies: list[bytes]) -> list[Frame]:
    """The frames of the requests, as the writer reads them."""
    content = [Opened(Stream("default", signal), LIMITS, RECEIVED, "", 1).encode()]
    for body in bodies:
        found = scan(signal, body, LIMITS, RECEIVED)
        content += encode_request(1, body, RECEIVED, found.accepted, found.rejected, found.counts), body
    return read_segment(b"".join(content)).frames


def decoded(signal: Signal, bodies: list[bytes], frames: list[Frame]) -> Decoded:
    """What the writer does: many requests at once, their counts taken from the frames."""
    counted = total(signal, frames)
    assert counted is not None
    return decode(signal, bodies, [RECEIVED] * len(bodies), LIMITS, counted)


def decoded_without_counts(signal: Signal, bodies: list[bytes]) -> Decoded:
    """What the writer does to a segment from before a restart."""
    return decode(signal, bodies, [RECEIVED] * len(bodies), LIMITS)


def decoded_slowly(signal: Signal, bodies: list[bytes]) -> Decoded:
    received = [RECEIVED] * len(bodies)
    if signal == Signal.METRICS:
        return decode_metrics_slowly(bodies, received, LIMITS)[0]
    return decode_slowly(signal, bodies, received, LIMITS)


def encoded(found: Decoded) -> list[bytes | memoryview]:
    return [encode_block(table(block.table), block.block, block.rows) for block in found.blocks]


def parsed(signal: Signal, bodies: list[bytes]) -> None:
    request = REQUESTS[signal]
    for body in bodies:
        request.FromString(body)


def check(signal: Signal, bodies: list[bytes]) -> None:
    """Kernels and twin must give the same Native bytes before anything is timed."""
    fast, slow = encoded(decoded(signal, bodies, framed(signal, bodies))), encoded(decoded_slowly(signal, bodies))
    assert fast, "no blocks"
    assert [bytes(block) for block in fast] == [bytes(block) for block in slow]


def cpu_seconds(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def measure(signal: Signal, requests: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU a record, by case."""
    bodies = PAYLOADS[signal](requests)
    check(signal, bodies[:TWIN_REQUESTS])
    records = scanned(signal, bodies)
    few, joined = bodies[:TWIN_REQUESTS], [b"".join(bodies)]
    few_records = scanned(signal, few)
    frames = framed(signal, bodies)
    kept: list[Decoded] = []

    def decode_and_keep() -> None:
        kept.clear()
        kept.append(decoded(signal, bodies, frames))

    cases: dict[str, tuple[Callable[[], Any], int]] = {
        "scan": (lambda: scanned(signal, bodies), records),
        "decode": (decode_and_keep, records),
        "decode without counts": (lambda: decoded_without_counts(signal, bodies), records),
        "encode": (lambda: encoded(kept[0]), records),
        "C parser": (lambda: parsed(signal, bodies), records),
        "C parser, joined": (lambda: parsed(signal, joined), records),
        "twin": (lambda: encoded(decoded_slowly(signal, few)), few_records),
    }
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for case, (work, count) in cases.items():
            least[case] = min(least[case], cpu_seconds(work) / count * 1e6)
    least["scan+decode+encode"] = least["scan"] + least["decode"] + least["encode"]
    least["bytes"] = sum(map(len, bodies)) / records
    return least


def show(signal: Signal, least: dict[str, float]) -> None:
    print(f"{signal}: {least['bytes']:.0f} bytes a {signal.record}")
    for case in (
        "scan",
        "decode",
        "decode without counts",
        "encode",
        "scan+decode+encode",
        "C parser",
        "C parser, joined",
        "twin",
    ):
        print(f"  {case:21} {least[case]:8.3f} us {1e3 / least[case]:10.1f} k/s")


def ratios(least: dict[str, float]) -> dict[str, float]:
    whole = least["scan+decode+encode"]
    return {
        "speed_to_c_parser": round(least["C parser"] / whole, 2),
        "speed_to_c_parser_joined": round(least["C parser, joined"] / whole, 2),
        "speed_to_twin": round(least["twin"] / whole, 1),
    }


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40, help="requests of 512 records")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--signal", choices=[str(signal) for signal in Signal], help="only this one")
    args = parser.parse_args()
    warm(lambda what, step, steps: print(f"  compiling {what} ({step + 1}/{steps})", flush=True))
    cases = {}
    for signal in Signal:
        if args.signal in (None, str(signal)):
            least = measure(signal, args.requests, args.rounds)
            show(signal, least)
            us = {case: round(value, 3) for case, value in least.items() if case != "bytes"}
            cases[str(signal)] = {"us_per_record": us, "bytes_per_record": round(least["bytes"]), **ratios(least)}
    machine = {"machine": platform.machine(), "cpu": platform.processor(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "decode", **machine, "commit": commit(), "cases": cases}))


if __name__ == "__main__":
    main()

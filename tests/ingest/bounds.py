"""Scan and decode a corpus of whole, cut and mutated requests with every array access checked: run by test_bounds.py.

    NUMBA_BOUNDSCHECK=1 python tests/ingest/bounds.py

An access outside of an array raises IndexError and ends the run.
"""

from __future__ import annotations

import random
from collections import Counter

import numba
import numpy as np
from mutants import mutated
from remote_write_messages import NOW_MS, Symbols
from sonde.ingest import wire
from sonde.ingest.accounts import Stream
from sonde.ingest.counts import total
from sonde.ingest.decode import decode
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits
from sonde.ingest.remote_write_kernels import SIMPLE
from sonde.ingest.remote_write_v2 import REQUEST_SYMBOLS, REQUEST_TIMESERIES, split
from sonde.ingest.remote_write_wire import fields_of_request
from sonde.ingest.scan import scan
from sonde.ingest.segment import Opened, encode_request, read_segment
from sonde.ingest.signals import Signal

from benchmarks import payload

MUTANTS = 1500
PAYLOADS = {
    Signal.TRACES: payload.trace_requests,
    Signal.METRICS: payload.number_requests,
    Signal.LOGS: payload.log_requests,
}
RECEIVED = payload.AT_UNIX_NANO + 3600 * 10**9
OPENED = {signal: Opened(Stream("default", signal), Limits(), RECEIVED, "", 1) for signal in Signal}


def check_that_bounds_are_checked() -> None:
    assert numba.config.BOUNDSCHECK, "run with NUMBA_BOUNDSCHECK=1"
    try:
        wire.byte_at(np.zeros(4, np.uint8), 4)
    except IndexError:
        return
    raise AssertionError("a read behind the end of an array was not noticed")


def judge(signal: Signal, body: bytes) -> str:
    try:
        found = scan(signal, body, Limits(), RECEIVED)
    except Malformed:
        return "refused"
    assert decode(signal, [body, body], [RECEIVED] * 2, Limits()).records == 2 * found.accepted
    if not found.counts:
        return "kept"
    content = OPENED[signal].encode() + 2 * (encode_request(1, body, RECEIVED, found.accepted, (), found.counts) + body)
    counted = total(signal, read_segment(content).frames)
    assert counted is not None
    assert decode(signal, [body, body], [RECEIVED] * 2, Limits(), counted).records == 2 * found.accepted
    return "kept, counted"


def run() -> None:
    check_that_bounds_are_checked()
    rng = random.Random(17)
    for signal, make in PAYLOADS.items():
        seeds = make(3, records=8)
        outcomes = Counter(judge(signal, body) for body in seeds)
        outcomes += Counter(judge(signal, seeds[0][:length]) for length in range(0, len(seeds[0]), 7))
        outcomes += Counter(judge(signal, mutated(rng, rng.choice(seeds))) for _ in range(MUTANTS))
        print(signal, dict(outcomes))
        assert {"refused", "kept, counted"} <= set(outcomes)
    split_remote_writes(rng)


def split_remote_writes(rng: random.Random) -> None:
    """The kernel that takes remote write 2.0 apart, with symbols and series that lie where a mutated request says."""
    symbols = Symbols()
    labels = [{"__name__": "m", "job": f"j{number}"} for number in range(200)]
    body = symbols.request(*[symbols.series(each, [(1.0, NOW_MS, 5)], (1, "help", "")) for each in labels])
    outcomes: Counter[bool] = Counter()
    for _ in range(MUTANTS):
        found: dict[int, list[int]] = {REQUEST_SYMBOLS: [], REQUEST_TIMESERIES: []}
        changed = bytes(mutated(rng, body))
        try:
            for field, start, stop in fields_of_request(changed):
                if field in found:
                    found[field] += (start, stop)
        except Malformed:
            continue
        rows, _keys = split(changed, found[REQUEST_TIMESERIES], found[REQUEST_SYMBOLS])
        outcomes.update((rows[:, SIMPLE] > 0).tolist())
    print("remote write", dict(outcomes))
    assert set(outcomes) == {True, False}


if __name__ == "__main__":
    run()

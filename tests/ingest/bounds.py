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
from sonde.ingest import wire
from sonde.ingest.accounts import Stream
from sonde.ingest.counts import total
from sonde.ingest.decode import decode
from sonde.ingest.errors import Malformed
from sonde.ingest.limits import Limits
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


if __name__ == "__main__":
    run()

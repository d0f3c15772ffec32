"""Interns what becomes LowCardinality while its bytes are in the cache: each text of a batch is a number, its *symbol*.

Attribute keys, span names and the like repeat in the same order record after record. So each symbol remembers which one followed
it last time, and the guess that it does again is a comparison of a few words; only where it fails is the text hashed. One table
serves all columns of a batch: it knows `SLOTS` / 2 texts at most. A text that comes after that, or whose walk through colliding
hashes is too long, gets a symbol of its own once more; the encoder accepts that, so texts made to collide cost a bounded number
of comparisons and some dictionary bytes.

A symbol is SYMBOL_FIELDS words in region SYMBOLS: where its text starts in the buffer, its length, and the symbol that followed.
Symbol 0 is the empty text. A slot has the upper half of the hash above the symbol. Texts end eight bytes before the buffer does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest.fingerprint import text_hash
from sonde.ingest.kernel import inline, kernel, out_of_line
from sonde.ingest.regions import CAPACITY, FILLED, LAST_SYMBOL, SEED, SLOTS, SYMBOL_FIELDS, SYMBOLS
from sonde.ingest.wire import fixed64_at

START, LENGTH, NEXT = range(SYMBOL_FIELDS)
PROBES = 16
"""Longest walk in the table."""
LOW = 0xFFFF_FFFF


@inline
def symbol(buf: Any, start: int, stop: int, out: Any, plan: Any) -> Any:
    """The symbol of the text in [start, stop)."""
    symbols = plan[SYMBOLS]
    guess = out[symbols + plan[LAST_SYMBOL] * SYMBOL_FIELDS + NEXT]
    at = symbols + guess * SYMBOL_FIELDS
    if out[at + LENGTH] == stop - start and same_text(buf, out[at + START], start, stop - start):
        plan[LAST_SYMBOL] = guess
        return guess
    return look_up(buf, start, stop, out, plan)


@kernel
def look_up(buf: Any, start: int, stop: int, out: Any, plan: Any) -> Any:
    """What symbol is, by hash; makes one where there is none, and notes it as what follows the last one."""
    out_of_line()
    symbols, slots = plan[SYMBOLS], plan[SLOTS]
    mask = plan[CAPACITY + SLOTS] - 1
    hashed = np.int64(text_hash(buf, start, stop, plan[SEED]))
    slot = hashed & mask
    found, free = 0, -1
    mark = hashed & ~LOW
    for _ in range(PROBES):
        there = out[slots + slot]
        if there == 0:
            free = slots + slot
            break
        if there & ~LOW == mark:
            at = symbols + (there & LOW) * SYMBOL_FIELDS
            if out[at + LENGTH] == stop - start and same_text(buf, out[at + START], start, stop - start):
                found = there & LOW
                break
        slot = (slot + 1) & mask
    if found == 0 and start < stop:
        found = plan[FILLED + SYMBOLS]
        plan[FILLED + SYMBOLS] = found + 1
        at = symbols + found * SYMBOL_FIELDS
        out[at + START] = start
        out[at + LENGTH] = stop - start
        out[at + NEXT] = 0
        if free >= 0 and 2 * found <= mask:
            out[free] = mark | found
    out[symbols + plan[LAST_SYMBOL] * SYMBOL_FIELDS + NEXT] = found
    plan[LAST_SYMBOL] = found
    return found


@inline
def same_text(buf: Any, left: int, right: int, length: int) -> Any:
    """Whether the `length` bytes at `left` and at `right` are equal: by words, the last one overlapping."""
    if length < 8:
        return length == 0 or (fixed64_at(buf, left) ^ fixed64_at(buf, right)) << np.uint64(64 - 8 * length) == 0
    stop = left + length - 8
    if fixed64_at(buf, stop) != fixed64_at(buf, right + length - 8):
        return False
    while left < stop:
        if fixed64_at(buf, left) != fixed64_at(buf, right):
            return False
        left += 8
        right += 8
    return True

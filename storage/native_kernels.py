"""Kernels of the Native encoder: strings, and interning for LowCardinality. numba, nogil, cached on disk.

Conventions. `out` is a uint8 buffer with at least `SLACK` bytes to spare behind everything that is written; `at` is the
next byte to write; a kernel returns the byte after the last one it wrote, or `BAD_SLICE` where a slice does not lie
within its buffer. Words are loaded and stored through pointers, unaligned and unchecked, so each kernel proves a slice
before it touches it. Little-endian machines only, as Native is little-endian.
"""

from __future__ import annotations

import secrets
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from sonde.storage.columns import I64, U8

SLACK = 64
BAD_SLICE = -1
BAD_OFFSETS = -2

PROBES = 32
"""Longest walk in the hash table. A key not met by then is written into the dictionary once more, which the engine
accepts: keys made to collide cost a bounded number of comparisons and some dictionary bytes, never quadratic time."""

SEED = np.uint64(secrets.randbits(64))
"""Of this process: which keys collide can't be known from outside."""

INDEX_HAS_KEYS = np.uint64(0x600)
"""SerializationLowCardinality: HasAdditionalKeysBit | NeedUpdateDictionary, index width in the low byte."""


def _pointer(context: Any, builder: Any, signature: Any, array: Any, index: Any) -> Any:
    """The address of byte `index` of a uint8 array."""
    data = context.make_array(signature)(context, builder, array).data
    return builder.gep(data, [index])


def _load(width: int) -> Any:
    @intrinsic
    def load(typingctx: Any, array: Any, index: Any) -> Any:
        """The little-endian word at byte `index` of a uint8 array, unaligned, unchecked."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _pointer(context, builder, signature.args[0], args[0], args[1])
            word = ir.IntType(width)
            loaded = builder.load(builder.bitcast(place, word.as_pointer()), align=1)
            return builder.zext(loaded, ir.IntType(64)) if width < 64 else loaded

        return types.uint64(array, types.int64), codegen

    return load


def _store(width: int) -> Any:
    @intrinsic
    def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        """Write the low bits of `value` at byte `index` of a uint8 array, unaligned, unchecked."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _pointer(context, builder, signature.args[0], args[0], args[1])
            word = ir.IntType(width)
            value = builder.trunc(args[2], word) if width < 64 else args[2]
            builder.store(value, builder.bitcast(place, word.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.uint64), codegen

    return store


load64: Any = _load(64)
load8: Any = _load(8)
store64: Any = _store(64)
store32: Any = _store(32)
store16: Any = _store(16)
store8: Any = _store(8)


def _move16(typingctx: Any, out: Any, at: Any, buffer: Any, start: Any) -> Any:
    """Copy sixteen bytes, unaligned, unchecked."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.IntType(8), 16).as_pointer()
        target = _pointer(context, builder, signature.args[0], args[0], args[1])
        source = _pointer(context, builder, signature.args[2], args[2], args[3])
        builder.store(builder.load(builder.bitcast(source, wide), align=1), builder.bitcast(target, wide), align=1)
        return context.get_dummy_value()

    return types.void(out, types.int64, buffer, types.int64), codegen


move16: Any = intrinsic(_move16)


def _prefetch(typingctx: Any, buffer: Any, start: Any) -> Any:
    """Ask for the cache line at `start`; harmless at any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [byte], fnty=kind)
        place = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.call(ask, [place, whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(buffer, types.int64), codegen


prefetch: Any = intrinsic(_prefetch)


AHEAD = 16
"""How many rows before its turn a slice is asked for. A segment is larger than the caches, and each column walks all of
it: without this a row costs a cache miss a slice (measured on 60 000 spans: 0.49 us a row, 0.34 us with it)."""

kernel = numba.njit(nogil=True, cache=True, error_model="numpy")
inline = numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")


@inline
def put_varuint(out: U8, at: int, value: int) -> int:
    """LEB128, as ClickHouse's VarUInt."""
    while value >= 0x80:
        store8(out, at, np.uint64((value & 0x7F) | 0x80))
        value >>= 7
        at += 1
    store8(out, at, np.uint64(value))
    return at + 1


@inline
def put_bytes(out: U8, at: int, buffer: U8, start: int, length: int) -> int:
    """Copy a slice. Sixteen bytes at a time, running over the end where both sides have room: most slices are short, and
    one vector move costs less than a call of memcpy (measured: 2.6 ns against 6 ns at 16 bytes)."""
    if start + length + 16 <= len(buffer):
        done = 0
        while done < length:
            move16(out, at + done, buffer, start + done)
            done += 16
    else:
        for i in range(length):
            store8(out, at + i, load8(buffer, start + i))
    return at + length


@inline
def word_at(buffer: U8, start: int, length: int) -> np.uint64:
    """The first `length` (1 to 7) bytes at `start` as a little-endian number, none beyond them read past the buffer."""
    if start + 8 <= len(buffer):
        word = load64(buffer, start)
        return np.uint64(word & ((np.uint64(1) << np.uint64(8 * length)) - np.uint64(1)))
    tail = np.uint64(0)
    for i in range(length):
        tail |= load8(buffer, start + i) << np.uint64(8 * i)
    return tail


@inline
def hash_slice(buffer: U8, start: int, length: int, seed: np.uint64) -> np.uint64:
    """A seeded multiply-and-fold hash, eight bytes a step. Quality enough for a table whose walks are bounded."""
    mixed = seed ^ (np.uint64(length) * np.uint64(0x9E3779B97F4A7C15))
    done = 0
    while length - done >= 8:
        mixed = (mixed ^ load64(buffer, start + done)) * np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
        done += 8
    if done < length:
        mixed = (mixed ^ word_at(buffer, start + done, length - done)) * np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
    return (mixed * np.uint64(0xCA5A826395121157)) ^ (mixed >> np.uint64(29))


@inline
def same_bytes(buffer: U8, left: int, right: int, length: int) -> bool:
    """Whether two slices of one length are equal: whole words, the last one overlapping."""
    if length < 8:
        return length == 0 or word_at(buffer, left, length) == word_at(buffer, right, length)
    done = 0
    while length - done > 8:
        if load64(buffer, left + done) != load64(buffer, right + done):
            return False
        done += 8
    return bool(load64(buffer, left + length - 8) == load64(buffer, right + length - 8))


@kernel
def put_strings(out: U8, at: int, buffer: U8, starts: I64, lengths: I64) -> int:
    """String columns: each value a VarUInt length and its bytes."""
    size = len(buffer)
    rows = len(starts)
    for i in range(rows):
        prefetch(buffer, starts[min(i + AHEAD, rows - 1)])
        start = starts[i]
        length = lengths[i]
        if start < 0 or length < 0 or start > size - length:
            return BAD_SLICE
        at = put_varuint(out, at, length)
        at = put_bytes(out, at, buffer, start, length)
    return at


@kernel
def doubled(values: Any) -> Any:
    bigger = np.empty(2 * len(values), values.dtype)
    bigger[: len(values)] = values
    return bigger


@kernel
def rehashed(slots: Any, hashes: Any, count: int) -> Any:
    """The same keys in a table four times as large. Keys whose walk would be too long are left out (see `PROBES`)."""
    bigger = np.zeros(4 * len(slots), np.uint32)
    mask = np.uint64(len(bigger) - 1)
    for key in range(count):
        slot = hashes[key] & mask
        for _ in range(PROBES):
            if bigger[slot] == 0:
                bigger[slot] = key + 1
                break
            slot = (slot + np.uint64(1)) & mask
    return bigger


@kernel
def put_low_cardinality(out: U8, at: int, buffer: U8, starts: I64, lengths: I64, seed: np.uint64) -> int:
    """LowCardinality(String): flags, dictionary, one index a row, in the narrowest of UInt8/16/32.

    Long, because the table, the guesses and the walk share their state. Two guesses go before the hash: the slice is the
    row before's own (a resource's fields), or the bytes are those that followed the same value last time (attribute keys
    come in the same order span after span). Together they answer most rows without hashing.
    """
    rows = len(starts)
    if rows == 0:
        return at
    size = len(buffer)
    ids = np.empty(rows, np.uint32)
    slots = np.zeros(256, np.uint32)
    mask = np.uint64(len(slots) - 1)
    hashes = np.empty(64, np.uint64)
    key_starts = np.empty(64, np.int64)
    key_lengths = np.empty(64, np.int64)
    next_key = np.zeros(64, np.uint32)
    count = 0
    last = np.uint32(0)
    last_start = np.int64(-1)
    last_length = np.int64(-1)
    for i in range(rows):
        prefetch(buffer, starts[min(i + AHEAD, rows - 1)])
        start = starts[i]
        length = lengths[i]
        if start == last_start and length == last_length:
            ids[i] = last
            continue
        if start < 0 or length < 0 or start > size - length:
            return BAD_SLICE
        last_start = start
        last_length = length
        guess = np.uint32(0)
        if count > 0:
            guess = next_key[last]
            if key_lengths[guess] == length and same_bytes(buffer, key_starts[guess], start, length):
                ids[i] = guess
                last = guess
                continue
        mixed = hash_slice(buffer, start, length, seed)
        slot = mixed & mask
        found = np.uint32(count)
        free = False
        for _ in range(PROBES):
            entry = slots[slot]
            if entry == 0:
                free = True
                break
            key = np.uint32(entry - np.uint32(1))
            if (
                hashes[key] == mixed
                and key_lengths[key] == length
                and same_bytes(buffer, key_starts[key], start, length)
            ):
                found = key
                break
            slot = (slot + np.uint64(1)) & mask
        if found == count:
            if count == len(hashes):
                hashes = doubled(hashes)
                key_starts = doubled(key_starts)
                key_lengths = doubled(key_lengths)
                next_key = doubled(next_key)
            hashes[count] = mixed
            key_starts[count] = start
            key_lengths[count] = length
            next_key[count] = count
            if free:
                slots[slot] = count + 1
            count += 1
            if 2 * count > len(slots):
                slots = rehashed(slots, hashes, count)
                mask = np.uint64(len(slots) - 1)
        next_key[last] = found
        ids[i] = found
        last = found

    return put_dictionary(out, at, buffer, key_starts, key_lengths, count, ids)


@kernel
def put_interned(out: U8, at: int, buffer: U8, starts: I64, lengths: I64, ids: I64) -> int:
    """LowCardinality(String) of rows that are numbers of texts already: those that occur, in the order in which they do."""
    rows = len(ids)
    if rows == 0:
        return at
    size = len(buffer)
    texts = np.uint64(len(starts))
    places = np.zeros(len(starts), np.uint32)
    key_starts = np.empty(len(starts), np.int64)
    key_lengths = np.empty(len(starts), np.int64)
    indexes = np.empty(rows, np.uint32)
    count = 0
    for i in range(rows):
        text = np.uint64(ids[i])
        if text >= texts:
            return BAD_SLICE
        place = places[text]
        if place == 0:
            start, length = starts[text], lengths[text]
            if start < 0 or length < 0 or start > size - length:
                return BAD_SLICE
            key_starts[count] = start
            key_lengths[count] = length
            count += 1
            place = np.uint32(count)
            places[text] = place
        indexes[i] = place - np.uint32(1)
    return put_dictionary(out, at, buffer, key_starts, key_lengths, count, indexes)


@kernel
def put_dictionary(
    out: U8, at: int, buffer: U8, key_starts: I64, key_lengths: I64, count: int, ids: npt.NDArray[np.uint32]
) -> int:
    """Flags, the dictionary of the first `count` keys, one index a row in the narrowest of UInt8/16/32."""
    rows = len(ids)
    width = 0 if count <= 0x100 else (1 if count <= 0x10000 else 2)
    store64(out, at, INDEX_HAS_KEYS | np.uint64(width))
    store64(out, at + 8, np.uint64(count))
    at += 16
    for k in range(count):
        at = put_varuint(out, at, key_lengths[k])
        at = put_bytes(out, at, buffer, key_starts[k], key_lengths[k])
    store64(out, at, np.uint64(rows))
    at += 8
    if width == 0:
        for i in range(rows):
            store8(out, at + i, np.uint64(ids[i]))
        return at + rows
    if width == 1:
        for i in range(rows):
            store16(out, at + 2 * i, np.uint64(ids[i]))
        return at + 2 * rows
    for i in range(rows):
        store32(out, at + 4 * i, np.uint64(ids[i]))
    return at + 4 * rows


@kernel
def put_offsets(out: U8, at: int, offsets: Any, items: int) -> int:
    """Array and Map offsets: cumulative ends, which must never fall and must end at `items`."""
    before = np.uint64(0)
    for i in range(len(offsets)):
        end = offsets[i]
        if end < before:
            return BAD_OFFSETS
        store64(out, at + 8 * i, end)
        before = end
    return at + 8 * len(offsets) if before == np.uint64(items) else BAD_OFFSETS

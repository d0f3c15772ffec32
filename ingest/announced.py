"""Which fingerprints have been announced today: a bounded set that forgets.

Open addressing over two arrays, 9 bytes a slot at a load of 0.35 to 0.7. Two generations bound the memory: when the
young one holds half the capacity it becomes the old one, and the old one is dropped. What is forgotten is announced
again, which the tables of dimensions merge; nothing is ever wrongly taken for announced.

"Today" begins at a time of day of each id's own, so that a million series are not all announced again at midnight.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from sonde.storage.columns import I64, U8, U64

FIRST_SLOTS = 1 << 10
FULLEST = 0.7
NANOSECONDS = 1_000_000_000
DAY_SECONDS = np.uint64(86_400)
STAMPS = np.uint64(255)


@njit(nogil=True, cache=True, inline="always")
def stamp_of(key: Any, second: Any) -> Any:
    """The id's own day at `second` (unix), as 1 to 255; 0 marks an empty slot."""
    return np.uint8((second + key % DAY_SECONDS) // DAY_SECONDS % STAMPS + np.uint64(1))


@njit(nogil=True, cache=True, inline="always")
def slot_of(keys: Any, stamps: Any, key: Any, seed: Any) -> Any:
    """Where `key` is, or the empty slot where it would go. Seeded, so that nobody outside can make ids collide."""
    mask = np.uint64(len(keys) - 1)
    mixed = (key ^ seed) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while stamps[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(nogil=True, cache=True)
def first_unannounced(
    ids: U64,
    salt: np.uint64,
    second: np.uint64,
    seed: np.uint64,
    young_keys: U64,
    young_stamps: U8,
    old_keys: U64,
    old_stamps: U8,
) -> I64:
    """int64[n]: for each distinct id that neither generation has with today's stamp, the index it first occurs at."""
    absent = np.empty(len(ids), np.int64)
    count = 0
    for i in range(len(ids)):
        key = ids[i] ^ salt
        today = stamp_of(key, second)
        if young_stamps[slot_of(young_keys, young_stamps, key, seed)] == today:
            continue
        if old_stamps[slot_of(old_keys, old_stamps, key, seed)] == today:
            continue
        absent[count] = i
        count += 1
    slots = 1
    while slots < 2 * count:
        slots *= 2
    seen_keys = np.empty(slots, np.uint64)
    seen_stamps = np.zeros(slots, np.uint8)
    distinct = 0
    for j in range(count):
        key = ids[absent[j]]
        slot = slot_of(seen_keys, seen_stamps, key, seed)
        if seen_stamps[slot] == 0:
            seen_stamps[slot] = 1
            seen_keys[slot] = key
            absent[distinct] = absent[j]
            distinct += 1
    return absent[:distinct].copy()


@njit(nogil=True, cache=True)
def put(keys: U64, stamps: U8, entries: U64, stamped: U8, seed: np.uint64) -> int:
    """Set each of `entries` to its stamp; the number that were not there before. There must be room for all."""
    added = 0
    for i in range(len(entries)):
        slot = slot_of(keys, stamps, entries[i], seed)
        added += stamps[slot] == 0
        keys[slot] = entries[i]
        stamps[slot] = stamped[i]
    return added


@njit(nogil=True, cache=True)
def stamps_of(entries: U64, second: np.uint64) -> U8:
    stamps = np.empty(len(entries), np.uint8)
    for i in range(len(entries)):
        stamps[i] = stamp_of(entries[i], second)
    return stamps


class Generation:
    """One open-addressing table that grows by doubling."""

    def __init__(self, seed: np.uint64) -> None:
        self.seed = seed
        self.keys: U64 = np.zeros(FIRST_SLOTS, np.uint64)
        self.stamps: U8 = np.zeros(FIRST_SLOTS, np.uint8)
        self.count = 0

    def add(self, entries: U64, stamped: U8) -> None:
        slots = len(self.keys)
        while self.count + len(entries) > slots * FULLEST:
            slots *= 2
        if slots > len(self.keys):
            self.grow(slots)
        self.count += put(self.keys, self.stamps, entries, stamped, self.seed)

    def grow(self, slots: int) -> None:
        taken = self.stamps != 0
        entries, stamped = self.keys[taken], self.stamps[taken]
        self.keys, self.stamps = np.zeros(slots, np.uint64), np.zeros(slots, np.uint8)
        put(self.keys, self.stamps, entries, stamped, self.seed)


class Announced:
    """A set of (salt, id) that remembers at least the latest `capacity / 2` and at most `capacity` of them.

    `salt` tells tenants apart: it is xored into the id. Not thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.seed = np.uint64(secrets.randbits(64))
        self.young = Generation(self.seed)
        self.old = Generation(self.seed)

    def __len__(self) -> int:
        """Entries held; one that both generations have counts twice."""
        return self.young.count + self.old.count

    @property
    def nbytes(self) -> int:
        return sum(g.keys.nbytes + g.stamps.nbytes for g in (self.young, self.old))

    def missing(self, ids: U64, salt: int, received_unix_nano: int) -> I64:
        """The index of the first occurrence of each id in `ids` that has not been added on its day."""
        found: I64 = first_unannounced(
            ids,
            np.uint64(salt),
            np.uint64(received_unix_nano // NANOSECONDS),
            self.seed,
            self.young.keys,
            self.young.stamps,
            self.old.keys,
            self.old.stamps,
        )
        return found

    def add(self, ids: U64, salt: int, received_unix_nano: int) -> None:
        """Remember `ids` as announced on their day, forgetting the oldest generation where there is no room."""
        entries: npt.NDArray[np.uint64] = ids ^ np.uint64(salt)
        stamped = stamps_of(entries, np.uint64(received_unix_nano // NANOSECONDS))
        half = max(1, self.capacity // 2)
        for begin in range(0, len(entries), half):
            part = slice(begin, begin + half)
            if self.young.count + len(entries[part]) > half:
                self.old, self.young = self.young, Generation(self.seed)
            self.young.add(entries[part], stamped[part])

"""Requests that went wrong on their way."""

from __future__ import annotations

import random


def mutated(rng: random.Random, body: bytes) -> bytes:
    """`body` with a few bytes flipped, cut out, doubled or moved."""
    data = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        if not data:
            break
        at = rng.randrange(len(data))
        size = rng.randrange(1, 12)
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                other = rng.randrange(len(data))
                data[at : at + size] = data[other : other + size]
    return bytes(data)

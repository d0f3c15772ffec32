"""The shortest decimal that reads back as the same double, spelled as Python's repr.

Schubfach: Raffaello Giulietti, "The Schubfach way to render doubles", 2020, in the form of Alexander Bolz's Drachennest. The
powers of ten are computed here from Python's integers, 128 bits each. Fuzzed against repr.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from sonde.ingest.kernel import inline, intrinsic, kernel, out_of_line

LEAST_POWER = -292
GREATEST_POWER = 324


def floor_log2_of_power_of_ten(exponent: int) -> int:
    """floor(log2(10^exponent)), for |exponent| < 1233."""
    return exponent * 1741647 >> 19


def power_of_ten(exponent: int) -> int:
    """10^exponent scaled by a power of two to 128 bits, rounded up."""
    shift = 127 - floor_log2_of_power_of_ten(exponent)
    numerator = 10 ** max(exponent, 0) << max(shift, 0)
    denominator = 10 ** max(-exponent, 0) << max(-shift, 0)
    return int(-(-numerator // denominator))


POWERS = [power_of_ten(exponent) for exponent in range(LEAST_POWER, GREATEST_POWER + 1)]
POWERS_HIGH = np.array([power >> 64 for power in POWERS], np.uint64)
POWERS_LOW = np.array([power & (1 << 64) - 1 for power in POWERS], np.uint64)


@intrinsic
def high_product(_typing: Any, _a: Any, _b: Any) -> Any:
    """The upper 64 bits of the product of two uint64."""

    def multiply(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), multiply


@inline
def round_to_odd(high: int, low: int, factor: int) -> Any:
    """The upper 64 bits of (high, low) * factor, the last bit set where anything was cut off."""
    carry_in = high_product(low, factor)
    middle = high * factor + carry_in
    upper = high_product(high, factor) + np.uint64(middle < carry_in)
    return upper | np.uint64(middle > np.uint64(1))


@kernel
def shortest_decimal(fraction: int, biased_exponent: int) -> Any:
    """(digits, exponent): the double of these 52 and 11 bits (not zero, finite) is digits * 10^exponent, shortest and nearest."""
    out_of_line()
    four = np.uint64(4)
    if biased_exponent != 0:
        significand = np.uint64(fraction | 1 << 52)
        exponent = biased_exponent - 1075
        if -53 < exponent <= 0 and fraction | 1 << 52 == ((fraction | 1 << 52) >> -exponent) << -exponent:
            return np.uint64((fraction | 1 << 52) >> -exponent), 0
    else:
        significand = np.uint64(fraction)
        exponent = -1074
    lower_is_closer = fraction == 0 and biased_exponent > 1
    below = four * significand - np.uint64(1 if lower_is_closer else 2)
    value = four * significand
    above = four * significand + np.uint64(2)
    k = (exponent * 1262611 - (524031 if lower_is_closer else 0)) >> 22
    shift = np.uint64(exponent + ((-k * 1741647) >> 19) + 1)
    high = POWERS_HIGH[-k - LEAST_POWER]
    low = POWERS_LOW[-k - LEAST_POWER]
    odd = significand & np.uint64(1)
    lower = round_to_odd(high, low, below << shift) + odd
    middle = round_to_odd(high, low, value << shift)
    upper = round_to_odd(high, low, above << shift) - odd
    s = middle // four
    if s >= np.uint64(10):
        tens = s // np.uint64(10)
        down = lower <= np.uint64(40) * tens
        up = np.uint64(40) * tens + np.uint64(40) <= upper
        if down != up:
            return tens + np.uint64(up), k + 1
    down = lower <= four * s
    up = four * s + four <= upper
    if down != up:
        return s + np.uint64(up), k
    half = four * s + np.uint64(2)
    round_up = middle > half or (middle == half and s & np.uint64(1) != 0)
    return s + np.uint64(round_up), k


@kernel
def put_double(buf: Any, bits: int, to: int) -> Any:
    """Write the double of these 64 bits at `to` as JSON text (storage/json_text.py); the position behind it, at most 24 on."""
    out_of_line()
    fraction = bits & ((1 << 52) - 1)
    biased_exponent = (bits >> 52) & 0x7FF
    if biased_exponent == 0x7FF:
        return put_not_finite(buf, fraction, bits, to)
    if bits < 0:
        buf[to] = ord("-")
        to += 1
    digits, exponent = np.uint64(0), 0
    if fraction != 0 or biased_exponent != 0:
        digits, exponent = shortest_decimal(fraction, biased_exponent)
        while digits % np.uint64(10) == np.uint64(0):
            digits //= np.uint64(10)
            exponent += 1
    count = 1
    power = np.uint64(10)
    while digits >= power:
        count += 1
        power *= np.uint64(10)
    point = count + exponent  # digits before the decimal point
    if -4 < point <= 16:
        return put_plain(buf, digits, count, point, to)
    return put_scientific(buf, digits, count, point - 1, to)


@kernel
def put_digits(buf: Any, digits: Any, count: int, to: int) -> Any:
    """`count` decimal digits; the position behind them."""
    for i in range(count):
        buf[to + count - 1 - i] = np.uint8(np.uint64(48) + digits % np.uint64(10))
        digits //= np.uint64(10)
    return to + count


@kernel
def put_zeros(buf: Any, count: int, to: int) -> Any:
    for i in range(count):
        buf[to + i] = ord("0")
    return to + count


@kernel
def put_parted(buf: Any, digits: Any, count: int, whole: int, to: int) -> Any:
    """`count` digits with a point behind the first `whole` of them."""
    stop = put_digits(buf, digits, count, to + 1)
    for i in range(whole):
        buf[to + i] = buf[to + i + 1]
    buf[to + whole] = ord(".")
    return stop


@kernel
def put_plain(buf: Any, digits: Any, count: int, point: int, to: int) -> Any:
    """`count` digits with the decimal point behind the first `point` of them, zeros where it lies outside of them."""
    if point <= 0:
        to = put_zeros(buf, 1, to)
        buf[to] = ord(".")
        return put_digits(buf, digits, count, put_zeros(buf, -point, to + 1))
    if point < count:
        return put_parted(buf, digits, count, point, to)
    to = put_zeros(buf, point - count, put_digits(buf, digits, count, to))
    buf[to] = ord(".")
    return put_zeros(buf, 1, to + 1)


@kernel
def put_scientific(buf: Any, digits: Any, count: int, exponent: int, to: int) -> Any:
    """`d.ddde-XX`: no point behind a lone digit, two digits of exponent at least."""
    to = put_parted(buf, digits, count, 1, to) if count > 1 else put_digits(buf, digits, count, to)
    buf[to] = ord("e")
    buf[to + 1] = ord("-") if exponent < 0 else ord("+")
    size = abs(exponent)
    return put_digits(buf, np.uint64(size), 3 if size >= 100 else 2, to + 2)


@kernel
def put_not_finite(buf: Any, fraction: int, bits: int, to: int) -> Any:
    text = b'{"$double":"NaN"}'
    if fraction == 0:
        text = b'{"$double":"Infinity"}' if bits >= 0 else b'{"$double":"-Infinity"}'
    for i in range(len(text)):
        buf[to + i] = text[i]
    return to + len(text)

"""How a kernel is compiled: `@kernel` is numba's njit without the GIL, cached on disk, and never stale.

numba's cache looks at the file a function stands in, not at the files of the functions it calls: a kernel compiled against
yesterday's `wire.py` would be loaded today. So the stamp of each cached kernel covers its own file, the files that kernels
in every other file are built on, and whether bounds are checked.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import extending, types

# A kernel is typed by numba, for the types it is called with: to mypy it, and what it is made of, is anything.
njit: Any = numba.njit
config: Any = numba.config
intrinsic: Any = extending.intrinsic
"""A function that writes LLVM instructions itself, given the types of its arguments."""

FOUNDATIONS = (
    "kernel.py",
    "wire.py",
    "fingerprint.py",
    "any_value.py",
    "attributes.py",
    "double_text.py",
    "scan_any_value.py",
    "scan_resource.py",
    "tally.py",
    "metrics_fields.py",
    "scan_metrics.py",
    "points.py",
    "series.py",
    "metric_identity.py",
    "regions.py",
    "symbols.py",
    "dimension_ranges.py",
    "scan_traces.py",
    "scan_logs.py",
)
"""Files whose kernels are called from other files. A kernel calls only these and its own file: a test checks it."""


@cache
def stamp(path: str) -> str:
    """Digest of the source a kernel in the file `path` is compiled from, and of the flags it is compiled under."""
    here = Path(__file__).parent
    digest = hashlib.sha256(f"boundscheck={config.BOUNDSCHECK}".encode())
    for source in (Path(path), *(here / name for name in FOUNDATIONS)):
        digest.update(source.read_bytes() if source.exists() else b"")
    return digest.hexdigest()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call, for the types it is called with; the machine code is kept beside the source.

    Without numba's reference counts (`_nrt`): arrays are the caller's and none is made inside. They made scan 2.4 times
    slower, since each call counts its arrays up and down.
    """
    return compiled(function, forceinline=False)


def inline(function: Callable[..., Any]) -> Any:
    """A kernel that is always inlined: for the few lines that run for every field."""
    return compiled(function, forceinline=True)


def part(function: Callable[..., Any]) -> Any:
    """A piece of the one kernel that calls it, which numba copies there before it compiles.

    For the upper levels of a message, which do little: whatever a kernel calls is optimised once more with it, so a chain of
    seven kernels took five times as long to compile as the same code in two.
    """
    return njit(inline="always")(function)


def compiled(function: Callable[..., Any], *, forceinline: bool) -> Any:
    # Always said, since numba would else pass the caller's choice on to what it calls.
    result = njit(nogil=True, cache=True, _nrt=False, error_model="numpy", forceinline=forceinline)(function)
    result._cache._cache_file._source_stamp = stamp(inspect.getsourcefile(function) or "")
    return result


@intrinsic
def pointer(_typing: Any, array: Any) -> Any:
    """The address of a C-contiguous array's first item, to be indexed like the array; has no length.

    A kernel that Python calls takes arrays, and hands these on: an array is seven arguments to a call, a pointer one, and the
    same code then serves writable and read-only buffers. Where bounds are checked (NUMBA_BOUNDSCHECK=1) it is the array
    itself, so that every access in every kernel is.
    """
    if config.BOUNDSCHECK:
        return array(array), lambda _context, _builder, _signature, args: args[0]

    def address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    address_of_items: Any = types.CPointer
    return address_of_items(array.dtype)(array), address


@intrinsic
def out_of_line(_typing: Any) -> Any:
    """Said first thing in a kernel: never inline it. Without it LLVM copies the rare paths into every caller, which made the
    trace scanner take 19 s to compile."""

    def mark(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), mark

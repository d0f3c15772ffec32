"""Requests that came before: a client that never saw the answer sends the same bytes again.

A request is known by the xxh3_128 of its body. What is remembered of each is 24 bytes in sorted runs, so that a busy
backend's ten minutes fit in memory (5 000 requests/s: 72 MB), and a whole segment is looked up in a few binary searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sonde.ingest.accounts import Stream

SEEN = np.dtype([("low", "<u8"), ("high", "<u8"), ("received_unix_nano", "<i8")])
"""One request as remembered, in memory and in the ledger."""
Requests = np.ndarray[Any, np.dtype[np.void]]
_MAX_REMEMBERED = 4_000_000
"""Requests of one stream; beyond it the oldest are forgotten before their time (96 MB)."""


def as_requests(identities: Sequence[bytes], received_unix_nano: Sequence[int]) -> Requests:
    """SEEN[n] of requests with these identities, in their order."""
    requests = np.empty(len(identities), SEEN)
    halves: npt.NDArray[np.uint64] = np.frombuffer(b"".join(identities), "<u8").reshape(-1, 2)
    requests["low"], requests["high"] = halves[:, 0], halves[:, 1]
    requests["received_unix_nano"] = received_unix_nano
    return requests


@dataclass(frozen=True, slots=True)
class _Run:
    """Requests sorted by `low`."""

    requests: Requests
    oldest: int
    newest: int

    @classmethod
    def of(cls, requests: Requests) -> _Run:
        times = requests["received_unix_nano"]
        return cls(requests[np.argsort(requests["low"], kind="stable")], int(times.min()), int(times.max()))

    def merged(self, other: _Run) -> _Run:
        return _Run.of(np.concatenate([self.requests, other.requests]))


class RecentRequests:
    """The requests of each stream within `window_seconds`. Not thread-safe."""

    def __init__(self, window_seconds: float) -> None:
        self._window_nano = int(window_seconds * 1e9)
        self._runs: dict[Stream, list[_Run]] = {}

    def duplicates(self, stream: Stream, requests: Requests) -> list[int]:
        """Which of `requests` (by position) came before: in the window, or earlier among `requests`."""
        if not self._window_nano:
            return []
        found = set(self._repeated(requests))
        for run in self._runs.get(stream, ()):
            left = np.searchsorted(run.requests["low"], requests["low"], "left")
            right = np.searchsorted(run.requests["low"], requests["low"], "right")
            for position in np.flatnonzero(left < right):
                same = run.requests[left[position] : right[position]]
                if self._matches(requests[position], same):
                    found.add(int(position))
        return sorted(found)

    def _repeated(self, requests: Requests) -> list[int]:
        seen: dict[tuple[int, int], int] = {}
        repeated = []
        for position, (low, high, received) in enumerate(requests.tolist()):
            before = seen.get((low, high))
            if before is not None and abs(received - before) <= self._window_nano:
                repeated.append(position)
            else:
                seen[low, high] = received
        return repeated

    def _matches(self, request: Any, candidates: Requests) -> bool:
        apart = np.abs(candidates["received_unix_nano"] - request["received_unix_nano"])
        return bool(((candidates["high"] == request["high"]) & (apart <= self._window_nano)).any())

    def horizon(self, newest_unix_nano: int) -> int:
        """Requests received before this are of no use once one was received at `newest_unix_nano`."""
        return newest_unix_nano - self._window_nano

    def remember(self, stream: Stream, requests: Requests) -> None:
        """Know `requests` from now on, and forget what the newest of them puts out of the window."""
        if not len(requests) or not self._window_nano:
            return
        run = _Run.of(requests)
        horizon = self.horizon(run.newest)
        runs = [old for old in self._runs.get(stream, ()) if old.newest >= horizon]
        # Runs double in length, so there are few; but none spans more than a quarter window, so whole ones fall out.
        while runs and len(runs[-1].requests) < 2 * len(run.requests) and self._near(runs[-1], run):
            run = runs.pop().merged(run)
        runs.append(run)
        while len(runs) > 1 and sum(len(each.requests) for each in runs) > _MAX_REMEMBERED:
            del runs[0]
        self._runs[stream] = runs

    def _near(self, first: _Run, second: _Run) -> bool:
        return max(first.newest, second.newest) - min(first.oldest, second.oldest) <= self._window_nano // 4

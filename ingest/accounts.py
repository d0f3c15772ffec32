"""Counts of requests and records: what a segment holds, what became of it, and what the ledger adds up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sonde.ingest.limits import Reason

UNKNOWN = "_"
"""Stands for the tenant or the signal of a request that was refused before either was known."""


class Stream(NamedTuple):
    """One tenant's requests of one signal: the unit of order, of segments and of accounting."""

    tenant: str
    signal: str


@dataclass(slots=True)
class Count:
    """A number of requests and the number of records in them."""

    requests: int = 0
    records: int = 0

    def add(self, requests: int, records: int) -> None:
        self.requests += requests
        self.records += records

    def __add__(self, other: Count) -> Count:
        return Count(self.requests + other.requests, self.records + other.records)

    def __sub__(self, other: Count) -> Count:
        return Count(self.requests - other.requests, self.records - other.records)

    def __bool__(self) -> bool:
        return self.requests != 0 or self.records != 0

    def as_dict(self) -> dict[str, int]:
        return {"requests": self.requests, "records": self.records}


def total(counts: Iterable[Count]) -> Count:
    """The sum of `counts`."""
    result = Count()
    for count in counts:
        result.add(count.requests, count.records)
    return result


def reason_label(index: int) -> str:
    """How the ledger spells the reason with this index; a reason of a newer version by its number."""
    try:
        return Reason(index).label
    except ValueError:
        return f"reason_{index}"


@dataclass(slots=True)
class Tally:
    """What the doors saw of one stream: `accepted` for storing, and `rejected` by reason.

    A request is rejected when nothing of it was kept though it held something, and accepted otherwise, so a request with
    partial success counts once, as accepted, while its records are divided between the two.
    """

    accepted: Count = field(default_factory=Count)
    rejected: dict[str, Count] = field(default_factory=dict)

    @property
    def received(self) -> Count:
        return self.accepted + total(self.rejected.values())

    def add_request(self, records: int, rejected: Sequence[int]) -> None:
        """Count one request of which `records` were accepted and `rejected[reason]` refused."""
        refused = 0
        for index, count in enumerate(rejected):
            if count:
                refused += count
                self.reject(reason_label(index), 0, count)
        if refused and not records:
            worst = max(range(len(rejected)), key=lambda index: rejected[index])
            self.reject(reason_label(worst), 1, 0)
        else:
            self.accepted.add(1, records)

    def reject(self, reason: str, requests: int, records: int) -> None:
        self.rejected.setdefault(reason, Count()).add(requests, records)

    def merge(self, other: Tally) -> None:
        self.accepted.add(other.accepted.requests, other.accepted.records)
        for reason, count in other.rejected.items():
            self.reject(reason, count.requests, count.records)

    def as_dict(self) -> dict[str, Any]:
        rejected = {reason: [count.requests, count.records] for reason, count in self.rejected.items()}
        return {"accepted": [self.accepted.requests, self.accepted.records], "rejected": rejected}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tally:
        """The inverse of `as_dict`."""
        rejected = {str(reason): Count(*counts) for reason, counts in values["rejected"].items()}
        return cls(Count(*values["accepted"]), rejected)

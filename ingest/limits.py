"""What a request may hold. The verdict on every record is a function of its bytes, these limits and the time of receipt.

A spool segment carries the limits it was written under, so a segment read after a restart, perhaps with other settings,
is judged as it was at the door.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import IntEnum


class Reason(IntEnum):
    """Why a single record was refused while the rest of its request was kept. Kernels count by these indices.

    TOO_MANY_SERIES alone says nothing of the record itself, but of what came before it: such records are not in the spool.
    """

    TOO_OLD = 0
    IN_THE_FUTURE = 1
    INVALID_TRACE_ID = 2
    INVALID_SPAN_ID = 3
    INVALID_PARENT_SPAN_ID = 4
    INVALID_LINK = 5
    TOO_MANY_ATTRIBUTES = 6
    TOO_MANY_EVENTS = 7
    TOO_MANY_LINKS = 8
    TOO_MANY_BUCKETS = 9
    TOO_MANY_EXEMPLARS = 10
    VALUE_TOO_LONG = 11
    INVALID_EXEMPLAR = 12
    INVALID_LABELS = 13
    INVALID_HISTOGRAM = 14
    TOO_MANY_SERIES = 15

    @property
    def label(self) -> str:
        """The spelling in the ledger and in metrics: `too_old`, `invalid_trace_id`, ..."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Limits:
    """Per-record and per-request bounds. A time of 0 seconds means no bound."""

    max_age_seconds: int = 0
    """Older records are refused (TOO_OLD): they would be dropped by retention. Set from the signal's retention."""
    max_future_seconds: int = 86_400
    """Records further ahead of the receiver's clock are refused (IN_THE_FUTURE)."""
    max_attributes: int = 1_024
    """Attributes in any one set: record, event, link, exemplar, scope, resource."""
    max_events: int = 4_096
    max_links: int = 1_024
    max_buckets: int = 4_096
    """Bucket counts in a histogram point, quantiles in a summary point."""
    max_exemplars: int = 1_024
    """Exemplars in one point."""
    max_value_bytes: int = 1 << 20
    """Any one string, bytes value, or whole AnyValue of a record."""
    max_depth: int = 32
    """Nesting of AnyValue; deeper is malformed (the whole request), since nothing can be trusted to walk it."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, int]) -> Limits:
        """The limits in `values`; names this version does not know are an error (ValueError)."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown limits {', '.join(unknown)}: written by a newer sonde?")
        return cls(**values)

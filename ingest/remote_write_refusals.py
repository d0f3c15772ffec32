"""What of a remote-write request is refused before it is scanned, and how the sender is told."""

from __future__ import annotations

from collections.abc import Sequence

from sonde.ingest.limits import Reason

NAMED = 10
"""Series that an answer names; the rest are counted."""
SHOWN = 200
"""Characters of a series in an answer."""

MOST_LABELS = 32

Labels = Sequence[tuple[bytes, bytes]]
"""(name, value) in UTF-8, as sent."""


class SeriesRefused(Exception):
    """A series, or one histogram of it, can't be kept; the message says what is wrong with it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refusals:
    """Of one request. `counts`: samples and histograms, by Reason."""

    def __init__(self) -> None:
        self.counts = [0] * len(Reason)
        self.sentences: list[str] = []
        self.unnamed = 0

    @property
    def records(self) -> int:
        return sum(self.counts)

    def __bool__(self) -> bool:
        return bool(self.sentences)

    def add(self, labels: Labels, error: SeriesRefused, records: int) -> None:
        """Count `records` of the series with these labels as refused. Nothing else in it was."""
        self.counts[error.reason] += records
        if len(self.sentences) < NAMED:
            self.sentences.append(f"{series_text(labels)}: {error}")
        else:
            self.unnamed += 1

    def explain(self) -> str:
        """A line for each; empty where nothing was refused."""
        more = [f"and {self.unnamed} more like these"] if self.unnamed else []
        return "\n".join([*self.sentences, *more])


def series_text(labels: Labels) -> str:
    """How Prometheus writes a series, shortened: `up{job="a"}`. Of labels that may be in any disorder."""
    texts = [(_text(name), _text(value)) for name, value in labels[:MOST_LABELS]]
    name = next((value for label, value in texts if label == "__name__"), "")
    inner = ", ".join(f'{label}="{value}"' for label, value in texts if label != "__name__")
    text = f"{name}{{{inner}}}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _text(raw: bytes) -> str:
    return raw[:SHOWN].decode("utf-8", "backslashreplace").replace("\n", "\\n").replace("\r", "\\r")

"""Lines about work under way: redrawn in place on a terminal, one plain line now and then elsewhere. All on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

PLAIN_EVERY_SECONDS = 5.0
REDRAW_EVERY_SECONDS = 0.1


class StatusLine:
    """One line that tells how far something is; `with StatusLine() as line: line.show("12 of 40")`.

    On a terminal the line is drawn over itself; elsewhere it is printed every `every` seconds, so that logs stay readable.
    """

    def __init__(self, stream: TextIO | None = None, every: float = PLAIN_EVERY_SECONDS) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.every = REDRAW_EVERY_SECONDS if self.live else every
        self.shown_at = -self.every
        self.status: Any = None

    def __enter__(self) -> StatusLine:
        if self.live:
            from rich.console import Console

            self.status = Console(file=self.stream).status("")
            self.status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is not None:
            self.status.stop()

    def due(self) -> bool:
        """Whether `show` would print now: spares the caller from composing text that nobody sees."""
        return time.monotonic() - self.shown_at >= self.every

    def show(self, text: str, force: bool = False) -> None:
        if not force and not self.due():
            return
        self.shown_at = time.monotonic()
        if self.status is not None:
            from rich.text import Text

            self.status.update(Text(text))
        else:
            print(text, file=self.stream, flush=True)


def bar(share: float, width: int = 24) -> str:
    """`[######------------------]  25%`; a share beyond 1 shows as full."""
    share = min(max(share, 0.0), 1.0)
    full = round(share * width)
    return f"[{'#' * full}{'-' * (width - full)}] {share:4.0%}"

"""What the SDK refuses to start with."""

from __future__ import annotations


class SdkError(Exception):
    """A setting that can't be right; the text says which and what to write instead."""

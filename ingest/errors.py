"""Why a whole request is refused. One tree; the receivers map it to HTTP and gRPC status in one place (`status.py`)."""

from __future__ import annotations


class RequestRefused(Exception):
    """Base. The message is a sentence that says what is wrong, where, and what to do. Nothing of the request was kept."""

    reason = "refused"
    """How the ledger counts it."""


class Malformed(RequestRefused):
    """The bytes are not the message they should be (HTTP 400, gRPC INVALID_ARGUMENT). Sending them again won't help."""

    reason = "malformed"


class TooLarge(RequestRefused):
    """Larger than the limit after decompression, or on the wire (413, RESOURCE_EXHAUSTED without retry)."""

    reason = "too_large"


class UnsupportedMediaType(RequestRefused):
    """Content-Type or Content-Encoding that sonde does not speak (415)."""

    reason = "unsupported_media_type"


class Unauthenticated(RequestRefused):
    """No token, or one that is not known (401, UNAUTHENTICATED)."""

    reason = "unauthenticated"


class Overloaded(RequestRefused):
    """Try again later (429 or 503 with Retry-After, gRPC UNAVAILABLE with RetryInfo)."""

    reason = "overloaded"

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SpoolFull(Overloaded):
    """The spool reached its byte or age limit, or the disk is nearly full (503)."""

    reason = "spool_full"


class NotFound(RequestRefused):
    """A path that is not one of OTLP's (404)."""

    reason = "not_found"


class MethodNotAllowed(RequestRefused):
    """Something other than POST (405)."""

    reason = "method_not_allowed"


class TooSlow(RequestRefused):
    """The request did not arrive within its time (408)."""

    reason = "too_slow"


class HeadersTooLarge(RequestRefused):
    """Request line and headers beyond their bound (431)."""

    reason = "headers_too_large"

"""The settings of the way in: where to listen, who may send, how much, and what one record may hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sonde.ingest.addresses import Address, parse_address
from sonde.ingest.limits import Limits
from sonde.storage.setting import setting

OFF = "off"
_DEFAULTS = Limits()


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Where OTLP is received, from whom, how much at once, and where it is kept until the store has it."""

    otlp_grpc: str = setting("127.0.0.1:4317", "host:port for OTLP/gRPC; off for none")
    otlp_http: str = setting("127.0.0.1:4318", "host:port for OTLP/HTTP (protobuf and JSON); off for none")
    receivers: int = setting(1, "receiver processes that share the ports and the spool; more than 1 uses more cores")
    tokens: tuple[str, ...] = setting(
        (),
        "who may send: TENANT=SECRET pairs; a sender says `authorization: Bearer SECRET` and its data go to TENANT. "
        "With none (and no tokens_file) anybody who can connect may send, to the tenant `default`",
        secret=True,
    )
    tokens_file: str = setting("", "file with one TENANT=SECRET a line (# starts a comment), besides `tokens`")
    open_to_network: bool = setting(
        False, "listen beyond this machine although no tokens are set: anybody who can connect may send"
    )
    trust_tenant_header: bool = setting(
        False,
        "take the tenant from the X-Sonde-Tenant header when no tokens are set; only behind a proxy that sets that header "
        "itself. Otherwise a request with the header is refused, lest its data end up with the wrong tenant",
    )
    cors_origins: tuple[str, ...] = setting(
        (), "web origins (https://shop.example.org) whose pages may send OTLP/HTTP; * allows any; empty: none"
    )
    cors_headers: tuple[str, ...] = setting(
        (),
        "request headers that such pages may send, besides content-type, content-encoding, authorization, x-sonde-tenant",
    )
    cors_max_age_seconds: int = setting(7_200, "for how long a browser may remember the answer to a preflight request")
    max_request_bytes: int = setting(64 << 20, "largest request, on the wire and again after decompression")
    max_in_flight_bytes: int = setting(
        256 << 20, "memory for requests that are being received; beyond it senders are told to try again later"
    )
    max_in_flight_requests: int = setting(
        1_024, "requests being received at once; beyond it senders are told to try later"
    )
    max_connections: int = setting(4_096, "open OTLP/HTTP connections; a further one is closed at once")
    body_timeout_seconds: float = setting(30.0, "time for one HTTP request to arrive, headers and body each")
    spool: str = setting("./data/spool", "folder in which requests are kept, synced to disk, until the store has them")
    spool_max_bytes: int = setting(
        16 << 30, "size of the spool at which senders are told to try again later; the store is behind by that much"
    )
    spool_max_age_seconds: float = setting(
        0.0, "age of the oldest spooled request at which senders are told to try again later; 0: no such limit"
    )
    spool_min_free_bytes: int = setting(1 << 30, "free disk space that the spool leaves untouched")
    segment_bytes: int = setting(32 << 20, "size at which a spool segment is closed and written to the store")
    segment_age_seconds: float = setting(
        0.2, "age at which it is closed; the wait until data can be queried follows this"
    )
    resend_window_seconds: float = setting(
        600.0,
        "a request whose very bytes came again within this time (the sender missed the answer) is stored once; 0: never",
    )
    stop_timeout_seconds: float = setting(
        30.0, "time to finish requests and write the spool to the store when stopping"
    )
    max_future_seconds: int = setting(
        _DEFAULTS.max_future_seconds, "records further ahead of this machine's clock are refused; 0: none"
    )
    max_attributes: int = setting(_DEFAULTS.max_attributes, "attributes on one record, event, link, scope or resource")
    max_events: int = setting(_DEFAULTS.max_events, "events on one span")
    max_links: int = setting(_DEFAULTS.max_links, "links on one span")
    max_buckets: int = setting(_DEFAULTS.max_buckets, "buckets of one histogram point, quantiles of one summary point")
    max_exemplars: int = setting(_DEFAULTS.max_exemplars, "exemplars on one data point")
    max_value_bytes: int = setting(_DEFAULTS.max_value_bytes, "any one string, bytes value or attribute value")
    max_depth: int = setting(
        _DEFAULTS.max_depth, "arrays and maps within each other in one attribute value or log body"
    )
    max_series: int = setting(
        0,
        "metric series of one tenant within `series_window_seconds`; points of further ones are refused, those of series that "
        "are there pass. 0: no limit, but 5,000,000 where `max_series_per_metric` is set. Memory: at most 62 bytes a series",
    )
    max_series_per_metric: int = setting(
        0,
        "series of one metric (by its name) of one tenant within `series_window_seconds`; points of further ones are refused, "
        "and the sender is told which label makes it so many. A histogram is one series. 0: no limit",
    )
    series_window_seconds: int = setting(
        3_600, "a series of which no point came for this long is no longer there, and makes room for another"
    )

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.max_in_flight_bytes < self.max_request_bytes:
            raise ValueError(
                "max_in_flight_bytes must be at least max_request_bytes, or no request of that size can ever pass"
            )
        if self.max_depth > 32:
            raise ValueError(f"max_depth must be 32 or less, not {self.max_depth}: no protobuf library reads deeper")
        for origin in self.cors_origins:
            if origin != "*" and not origin.startswith(("http://", "https://")):
                raise ValueError(f"cors_origins takes origins such as https://shop.example.org, not {origin!r}")
        self._check_exposure()

    def _check_exposure(self) -> None:
        guarded = bool(self.tokens or self.tokens_file)
        if guarded and self.trust_tenant_header:
            raise ValueError(
                "trust_tenant_header only works without tokens: with tokens, the token says whose data it is"
            )
        for name, address in (("otlp_grpc", self.grpc_address), ("otlp_http", self.http_address)):
            if address is not None and not address.loopback and not guarded and not self.open_to_network:
                raise ValueError(
                    f"{name} is {address}, which other machines can reach, and no tokens are set: set tokens, or "
                    "open_to_network to let anybody who can connect send"
                )

    @property
    def grpc_address(self) -> Address | None:
        return None if self.otlp_grpc == OFF else parse_address(self.otlp_grpc, "otlp_grpc")

    @property
    def http_address(self) -> Address | None:
        return None if self.otlp_http == OFF else parse_address(self.otlp_http, "otlp_http")

    @property
    def spool_path(self) -> Path:
        return Path(self.spool).expanduser().absolute()

    def limits(self, max_age_seconds: int = 0) -> Limits:
        """The bounds on one record of a signal that is kept for `max_age_seconds` (0: for ever)."""
        return Limits(
            max_age_seconds=max_age_seconds,
            max_future_seconds=self.max_future_seconds,
            max_attributes=self.max_attributes,
            max_events=self.max_events,
            max_links=self.max_links,
            max_buckets=self.max_buckets,
            max_exemplars=self.max_exemplars,
            max_value_bytes=self.max_value_bytes,
            max_depth=self.max_depth,
        )


_POSITIVE = (
    "receivers",
    "max_request_bytes",
    "max_in_flight_bytes",
    "max_in_flight_requests",
    "max_connections",
    "body_timeout_seconds",
    "spool_max_bytes",
    "segment_bytes",
    "segment_age_seconds",
    "stop_timeout_seconds",
    "max_attributes",
    "max_events",
    "max_links",
    "max_buckets",
    "max_exemplars",
    "max_value_bytes",
    "max_depth",
    "series_window_seconds",
)
_NOT_NEGATIVE = (
    "cors_max_age_seconds",
    "spool_max_age_seconds",
    "spool_min_free_bytes",
    "resend_window_seconds",
    "max_future_seconds",
    "max_series",
    "max_series_per_metric",
)

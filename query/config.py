"""The settings of the query service."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sonde.storage.setting import setting

ROLLUPS = ("auto", "exact", "off")


@dataclass(frozen=True, slots=True)
class QueryConfig:
    """Where the query service listens, whom it answers, and what one question may cost."""

    query: str = setting("127.0.0.1:8318", "host:port on which the query API and the start page are served")
    query_tenant: str = setting("default", "whose data is answered for when a request has no X-Sonde-Tenant header")
    query_allowed_hosts: tuple[str, ...] = setting(
        (),
        "host names (without port) that a request's Host header may carry, besides localhost and IP addresses, which always "
        "pass; * allows any. It keeps a web page from reaching sonde under a name of its own (DNS rebinding)",
    )
    query_cors_origins: tuple[str, ...] = setting(
        (), "web origins (https://grafana.example.org) whose pages may read answers; empty: none"
    )
    query_max_seconds: float = setting(30.0, "seconds that the store may work on one question")
    query_max_memory_mib: int = setting(1024, "MiB of memory that the store may use for one question")
    query_max_rows_read: int = setting(2_000_000_000, "rows that the store may read for one question")
    query_max_concurrent: int = setting(
        8, "questions answered at once; more wait, and after query_max_seconds get a 503"
    )
    query_max_limit: int = setting(10_000, "largest `limit` a request may ask for")
    query_max_trace_spans: int = setting(50_000, "spans in a trace that is answered whole")
    query_max_predicates: int = setting(32, "attribute predicates and text conditions in one request")
    query_max_text: int = setting(1_000, "characters in one value, key, or regular expression of a request")
    query_max_url: int = setting(16_384, "bytes of a request's query string")
    promql_max_seconds: float = setting(
        120.0, "seconds that one PromQL query may take; a request's `timeout` can only shorten it"
    )
    promql_max_concurrent: int = setting(
        4, "PromQL queries evaluated at once; more wait, and after promql_max_seconds get a 503"
    )
    promql_max_samples: int = setting(
        50_000_000, "samples that one PromQL query may hold in memory at once: about 9 bytes each"
    )
    promql_max_points: int = setting(11_000, "points in each series of a range query's answer")
    promql_max_body: int = setting(1_048_576, "bytes of a form that is posted to the Prometheus API")
    promql_held_series: int = setting(
        500_000, "series whose labels are kept in memory for PromQL, of all tenants together: some 300 bytes each"
    )
    promql_held_points: int = setting(
        8_000_000,
        "points kept in memory for PromQL, of metrics and hours asked for lately: 24 bytes each; a histogram is several",
    )
    promql_lookback_seconds: float = setting(
        300.0, "how old the last sample of a series may be to count as its present value, unless a query says"
    )
    promql_subquery_step_seconds: float = setting(60.0, "step of a PromQL subquery that names none")
    rollups: bool = setting(
        True,
        "summarise metric points by 5 minutes and the hour in the background, which PromQL over long ranges then reads; of several "
        "processes on one store, one is enough",
    )
    rollups_every_seconds: float = setting(60.0, "how often is looked for hours to summarise")
    rollups_delay_seconds: float = setting(
        300.0,
        "how long after its end an hour is summarised; points that come later are never missed, but cost a second time",
    )
    promql_rollups: str = setting(
        "auto",
        "when PromQL reads rollups in place of points, for the same answer: auto, also where a range must be rounded by up to 1 % "
        "for that, which the answer says; exact, never where it must; off",
    )
    query_export_max_seconds: float = setting(3_600.0, "seconds that one export may take")

    def __post_init__(self) -> None:
        listen_address(self.query)
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{name} must be more than 0, not {value}")
        if self.promql_rollups not in ROLLUPS:
            raise ValueError(f"promql_rollups must be one of {', '.join(ROLLUPS)}, not {self.promql_rollups!r}")
        for origin in self.query_cors_origins:
            if origin != "*" and not origin.startswith(("http://", "https://")):
                raise ValueError(
                    f"query_cors_origins takes origins such as https://grafana.example.org, not {origin!r}"
                )


def listen_address(text: str) -> tuple[str, int]:
    """("127.0.0.1", 8318) of "127.0.0.1:8318"; an IPv6 host stands in brackets. ValueError says what to write instead."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535 or not host:
        raise ValueError(f"query must be host:port, for example 127.0.0.1:8318 or [::1]:8318, not {text!r}")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    return host, int(port)

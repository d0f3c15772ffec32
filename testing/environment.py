"""The environment of a subprocess under test: its OpenTelemetry exporters pointed at the test's receiver."""

from __future__ import annotations

import os
from collections.abc import Mapping

SOONER = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
"""Milliseconds: a test waits for what a program that runs on sends."""
EXPORTERS = dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "otlp")


def subprocess_environ(endpoint: str, protocol: str, headers: str = "") -> dict[str, str]:
    """This process's environment, but that whatever it says of exporters is replaced."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_EXPORTER_OTLP")}
    return {**inherited, **SOONER, **EXPORTERS, **exporter(endpoint, protocol, headers)}


def exporter(endpoint: str, protocol: str, headers: str) -> Mapping[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        # A proxy of the machine must not get between.
        "NO_PROXY": joined(os.environ.get("NO_PROXY", ""), "127.0.0.1,localhost"),
        "no_proxy": joined(os.environ.get("no_proxy", ""), "127.0.0.1,localhost"),
        **({"OTEL_EXPORTER_OTLP_HEADERS": headers} if headers else {}),
    }


def joined(names: str, more: str) -> str:
    return f"{names},{more}" if names else more

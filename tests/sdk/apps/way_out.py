"""A program that tells one span, one log record and one measurement."""

from __future__ import annotations

import logging

from opentelemetry import metrics, trace

with trace.get_tracer("shop").start_as_current_span("sell") as span:
    span.set_attribute("thing", "nail")
    logging.getLogger("shop").warning("sold a nail")
    metrics.get_meter("shop").create_counter("sold", unit="{thing}").add(1)

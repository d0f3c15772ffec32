"""GET /: what runs here, and where to go."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

# Fixed text: nothing of a request or of telemetry is ever put into it.
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sonde</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }
  code { font-size: 0.95em } td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top }
</style>
<h1>sonde</h1>
<p>The query service of an observability backend: logs, metrics and traces, in by OTLP, kept in ClickHouse.</p>
<p>Apps send to OTLP/gRPC on port 4317 or OTLP/HTTP on port 4318 of the process that ingests, unless its settings say otherwise.</p>
<table>
<tr><td><a href="/docs">/docs</a></td><td>the API, with every parameter and answer</td></tr>
<tr><td><a href="/api/services">/api/services</a></td><td>services seen in the last hour</td></tr>
<tr><td><a href="/api/spans?limit=20">/api/spans</a></td><td>the newest spans; <code>/api/traces/ID</code>: a trace</td></tr>
<tr><td><a href="/api/logs?limit=20">/api/logs</a></td><td>the newest log records</td></tr>
<tr><td><a href="/api/series?limit=20">/api/series</a></td><td>metrics; <code>/api/points</code>: their points</td></tr>
<tr><td><a href="/api/export?signal=traces&amp;start=-5m">/api/export</a></td><td>everything of a time range as OTLP</td></tr>
<tr><td><a href="/api/ledger">/api/ledger</a></td><td>what became of every request</td></tr>
<tr><td><a href="/readyz">/readyz</a></td><td>whether questions can be answered</td></tr>
</table>
</html>
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@router.get("/", response_class=HTMLResponse)
async def start_page() -> HTMLResponse:
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

"""Telemetry under test: a pytest fixture `telemetry` that gives each test the spans, logs and metrics of the app it runs."""

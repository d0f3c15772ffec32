"""OTLP metrics as Prometheus sees them, and its HTTP API: names, series, samples from the store, the routes."""

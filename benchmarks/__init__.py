"""Benchmarks, one module a room; run one with `python -m benchmarks.<name>`. The last line printed is a JSON object."""

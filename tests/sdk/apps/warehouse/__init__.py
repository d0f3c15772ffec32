"""A package that knows nothing of telemetry but for what `sold.py` says by itself."""

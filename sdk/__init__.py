"""The instrumentation SDK. Imports nothing of the server."""

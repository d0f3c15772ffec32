"""The query service: HTTP APIs over the store, and the web UI."""

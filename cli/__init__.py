"""The `sonde` command: the only place that composes the rooms."""

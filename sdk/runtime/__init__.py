"""Metrics of what the program runs on: its interpreter and process, and, by one elected process, the host."""

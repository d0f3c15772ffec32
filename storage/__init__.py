"""The one schema, its DDL, Native encoding, ClickHouse clients and migrations."""

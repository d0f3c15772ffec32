"""The settings of the store."""

from __future__ import annotations

from dataclasses import dataclass

from sonde.storage.setting import setting


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where telemetry is kept, and for how long."""

    store: str = setting(
        "chdb://./data/store",
        "where the tables live: chdb://PATH is the embedded ClickHouse in that folder, http(s)://user:password@host:8123/ "
        "a ClickHouse server",
    )
    database: str = setting("sonde", "the ClickHouse database that holds sonde's tables")
    cluster: str = setting(
        "",
        "name of the ClickHouse cluster to spread the tables over (as in system.clusters); empty for a single server",
    )
    retention_traces_days: int = setting(14, "days that spans are kept; 0 keeps them for ever")
    retention_logs_days: int = setting(30, "days that log records are kept; 0 keeps them for ever")
    retention_metrics_days: int = setting(90, "days that metric points are kept; 0 keeps them for ever")
    retention_rollups_5m_days: int = setting(
        180, "days that summaries of metrics by windows of 5 minutes are kept; 0 keeps them for ever"
    )
    retention_rollups_1h_days: int = setting(
        730, "days that summaries of metrics by windows of an hour are kept; 0 keeps them for ever"
    )

    def __post_init__(self) -> None:
        if not self.store.startswith(("chdb://", "http://", "https://")):
            raise ValueError(
                "store must be chdb:///folder (the embedded engine) or http(s)://user:password@host:port/ (a ClickHouse server)"
            )
        if self.cluster and self.store.startswith("chdb://"):
            raise ValueError("cluster needs a ClickHouse server as the store: the embedded engine has no cluster")
        if not self.database.replace("_", "a").isalnum():
            raise ValueError(f"database must be letters, digits and underscores, not {self.database!r}")
        for name in self.__dataclass_fields__:
            if name.startswith("retention_") and getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (for ever) or more days")

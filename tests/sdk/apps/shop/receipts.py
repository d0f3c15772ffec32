"""A Celery application with its queue in a folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from celery import Celery

app = Celery("receipts", broker="filesystem://", broker_connection_retry_on_startup=True)
queue = Path(os.environ["QUEUE"])
app.conf.broker_transport_options = {
    "data_folder_in": str(queue),
    "data_folder_out": str(queue),
    "control_folder": str(queue),
}
log = logging.getLogger("receipts")


@app.task(name="send_receipt")
def send_receipt(thing: str) -> None:
    log.warning("receipt for %s by %s", thing, os.getpid())

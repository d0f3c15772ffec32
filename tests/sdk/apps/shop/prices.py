"""A FastAPI application: asks the stock by httpx, remembers in redis where there is one, and sends a receipt by Celery."""

from __future__ import annotations

import logging
import os

import fastapi
import httpx
import redis
from receipts import send_receipt

app = fastapi.FastAPI()
log = logging.getLogger("prices")
cache = redis.Redis.from_url(os.environ["REDIS"]) if os.environ.get("REDIS") else None


@app.get("/price/{thing}")
async def price(thing: str) -> dict[str, object]:
    async with httpx.AsyncClient() as client:
        stock = (await client.get(f"{os.environ['STOCK']}/stock/{thing}", timeout=60)).json()
    if cache is not None:
        cache.set(thing, stock["left"])
    send_receipt.delay(thing)
    log.warning("priced %s", thing)
    return {"price": 3, **stock}

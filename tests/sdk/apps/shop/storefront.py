"""A Flask application: keeps orders by SQLAlchemy, asks for prices by requests."""

from __future__ import annotations

import logging
import os

import flask
import requests
from sqlalchemy import create_engine, text

app = flask.Flask(__name__)
log = logging.getLogger("storefront")
engine = create_engine("sqlite://")


@app.get("/buy/<thing>")
def buy(thing: str) -> dict[str, object]:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    price = requests.get(f"{os.environ['PRICES']}/price/{thing}", timeout=60).json()
    log.warning("bought %s", thing)
    return {"thing": thing, "process": os.getpid(), **price}


@app.get("/fail")
def fail() -> str:
    raise RuntimeError("the till is stuck")

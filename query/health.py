"""Is the process up, can it answer, and do its books balance: /healthz, /readyz, GET /api/ledger."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sonde.query.errors import ErrorBody, NotReady, NotServed
from sonde.query.parameters import parts_of
from sonde.storage.errors import SchemaError
from sonde.storage.migrate import pending
from sonde.storage.store import Store

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Ledger(BaseModel):
    """What came of every request: per tenant and signal, received = rejected + stored + deduplicated + quarantined + pending."""

    model_config = {"extra": "allow"}

    balanced: bool = Field(description="whether every sum closes")


@router.get("/healthz", summary="Is the process up?")
async def healthz() -> Health:
    """Says ok as long as the process answers at all; asks nothing of the store."""
    return Health(status="ok")


@router.get("/readyz", summary="Can questions be answered?", responses={503: {"model": ErrorBody}})
def readyz(request: Request) -> Health:
    """Asks the store whether it answers, and whether its schema is this version's."""
    parts = parts_of(request)
    check_ready(parts.store, parts.cluster)
    return Health(status="ready")


@router.get("/api/ledger", summary="The books of ingest", responses={503: {"model": ErrorBody}})
def get_ledger(request: Request) -> Ledger:
    """Every request and record accounted for; 503 in a process that does not ingest."""
    read = parts_of(request).ledger
    if read is None:
        raise NotServed(
            "This process answers queries only and keeps no ledger.",
            hint="Ask the process that ingests, or run `sonde doctor` beside its spool folder.",
        )
    return Ledger(**read())


def check_ready(store: Store, cluster: str | None) -> None:
    """StoreUnavailable where the store does not answer; NotReady where its schema is not this version's."""
    try:
        behind = pending(store, cluster)
    except SchemaError as error:
        raise NotReady(str(error), hint="Run the version of sonde that made this database.") from error
    if behind:
        raise NotReady(f"The database lacks migrations, first {behind[0].title}.", hint="Run `sonde migrate`.")

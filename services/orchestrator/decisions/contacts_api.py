"""A customer's contact ledger over HTTP: what was said to them, is being said, and is planned."""

from typing import Any

from fastapi import APIRouter

from schemas.times import format_instant
from services.kit.db.database import Database
from services.kit.http.auth import Principal, requires
from services.orchestrator.decisions import store
from services.orchestrator.policy.ledger import BEGINNING, Contact


def router(database: Database) -> APIRouter:
    """The route `/v1/contacts/{customer}`."""
    routes = APIRouter(prefix="/v1/contacts", tags=["contacts"])

    @routes.get("/{customer}", summary="The contact ledger of a customer, in order of time")
    async def one(customer: str, _: Principal = requires("contacts:read")) -> dict[str, Any]:
        async with database.read() as tx:
            held = (await store.ledgers(tx, [customer])).get(customer, store.NOTHING_HELD)
        complete_from = held.ledger.complete_from
        return {
            "customer": customer,
            "version": held.version,
            "complete_from": None if complete_from == BEGINNING else format_instant(complete_from),
            "contacts": [_shown(contact) for contact in held.ledger],
        }

    return routes


def _shown(contact: Contact) -> dict[str, Any]:
    kind = contact.kind
    return {
        "message_id": contact.message_id,
        "state": contact.state,
        "at": format_instant(contact.at),
        "since": format_instant(contact.since),
        "channel": kind.channel,
        "class": kind.cls,
        "intent": kind.intent,
        "topic": kind.topic,
        "campaign": kind.campaign or None,
        "priority": contact.priority,
        "reported": contact.reported,
    }

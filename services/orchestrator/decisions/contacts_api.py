"""HTTP route of a customer's ledger: contacts that were made, that are being made, and that are planned."""

from typing import Any

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.fields import CustomerId
from schemas.times import format_instant
from schemas.vocabulary import Intent
from services.kit.db.database import Database
from services.kit.http.answer_types import ClassField, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.orchestrator.decisions import store
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Contact, ContactState


class ContactFields(ClassField):
    """One contact: made, being made, planned, or reported by another tool, on a channel that may not be one of ours."""

    message_id: str
    state: ContactState
    at: TimeText
    since: TimeText
    channel: str
    intent: Intent | None
    topic: str | None
    campaign: str | None
    priority: int
    reported: bool


class Contacts(TypedDict):
    """A customer's ledger. What lies before `complete_from` may be missing."""

    customer: str
    version: int
    complete_from: TimeText | None
    contacts: list[ContactFields]


def contact_routes(database: Database) -> APIRouter:
    """The route `/v1/contacts/{customer}`."""
    routes = APIRouter(prefix="/v1/contacts", tags=["contacts"])

    @routes.get("/{customer}", summary="The contact ledger of a customer, in order of time", **answers({200: Contacts}))
    async def get_contacts(customer: CustomerId, _: Principal = requires("contacts:read")) -> dict[str, Any]:
        async with database.read() as tx:
            versioned_ledger = (await store.load_ledgers(tx, [customer])).get(customer, store.EMPTY_LEDGER)
        complete_from = versioned_ledger.ledger.complete_from
        return {
            "customer": customer,
            "version": versioned_ledger.version,
            "complete_from": None if complete_from == BEGINNING_OF_TIME else format_instant(complete_from),
            "contacts": [_contact_document(contact) for contact in versioned_ledger.ledger],
        }

    return routes


def _contact_document(contact: Contact) -> dict[str, Any]:
    attributes = contact.attributes
    return {
        "message_id": contact.message_id,
        "state": contact.state,
        "at": format_instant(contact.at),
        "since": format_instant(contact.first_planned),
        "channel": attributes.channel,
        "class": attributes.cls,
        "intent": attributes.intent,
        "topic": attributes.topic,
        "campaign": attributes.campaign or None,
        "priority": contact.priority,
        "reported": contact.reported,
    }

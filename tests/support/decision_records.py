"""Stores decisions, messages and events through the functions that the pipeline uses."""

from typing import Any

import msgspec

from schemas.decision import Decision, EventRef, Verdict
from schemas.event import Event
from schemas.ids import compute_message_id
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.decisions.store import ReceivedEvent
from tests.support.orchestrator_app import NOON


def event(id: str = "e-1", customer: str = "c-1", **changes: Any) -> Event:
    data = msgspec.Raw(msgspec.json.encode(changes.pop("data", {"total": 60})))
    return Event(id, changes.pop("source", "/shop"), "shop.order.delivered", customer, NOON, data, **changes)


def decision(of: Event, channel: str = "sms", **changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "time": NOON,
        "message_id": compute_message_id(of.subject, of.source, of.id, "referral-ask", channel),
        "customer": of.subject,
        "event": EventRef(of.source, of.id, of.type, of.time),
        "campaign": "referral-ask",
        "version": 1,
        "policy_version": 1,
        "preference_version": 1,
        "channel": channel,
        "cls": "marketing",
        "intent": "ask_referral",
        "topic": "referrals",
        "priority": 50,
        "outcome": "suppress",
        "reason": "no_consent",
        "verdicts": (
            Verdict("campaign", None, "allow"),
            Verdict("consent", None, "deny", None, "no_consent", {"record": None}),
        ),
    }
    return Decision(**{**fields, **changes})


async def keep(tx: Tx, event: Event, *decisions: Decision, offset: int = 0) -> None:
    """What the pipeline leaves of an event."""
    undecided = await store.insert_decisions(tx, decisions, [ReceivedEvent(event, "customer.events", 0, offset)])
    await store.insert_events(tx, undecided, NOON)


async def keep_message(tx: Tx, of: Decision, **changes: Any) -> None:
    """A message of a decision."""
    row: dict[str, Any] = {
        "message_id": of.message_id,
        "customer": of.customer,
        "campaign": of.campaign,
        "version": of.version,
        "policy_version": of.policy_version,
        "channel": of.channel,
        "cls": of.cls,
        "intent": of.intent,
        "topic": of.topic,
        "priority": of.priority,
        "event_source": of.event.source,
        "event_id": of.event.id,
        "state": "accepted",
        "since": NOON,
        "until": None,
        "expires_at": NOON + 1,
        "attempts": 1,
        "to_address": "+491701234567",
        "locale": "en",
        "adapter": "sandbox",
        "provider_id": None,
        "detail": None,
        "created": NOON,
        "updated": NOON,
        "content": b'{"text":"Hi"}',
    } | changes
    await tx.bulk_insert("message", list(row), [tuple(row.values())])

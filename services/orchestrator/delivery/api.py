"""HTTP routes of messages: their content, addresses, states, attempts and decisions."""

from typing import Any

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.receipt import DELIVERY_LADDER, ReceiptKind
from schemas.roles import is_allowed
from schemas.times import format_instant
from schemas.vocabulary import Channel, Intent, MessageState
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import AnyObject, ClassField, Page, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.observability.logs import redact
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.decisions.decision_fields import DecisionFields
from services.orchestrator.decisions.read_store import decision_document, list_message_decisions
from services.orchestrator.delivery import query_store
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.provider_waits import ProviderWaitFields, find_provider_wait, wait_document
from services.orchestrator.delivery.query_store import decode_content
from services.orchestrator.delivery.receipts import store as receipt_store

CUSTOMER_DATA = "customers:read"


class EventName(TypedDict):
    """Which event: its source and id."""

    source: str
    id: str


class MessageFields(ClassField):
    """A message with its content, address and state. `hidden`: why `to` and `content` are null for this role,
    and `detail` is without addresses.
    """

    message_id: str
    customer: str
    campaign: str
    version: int
    policy_version: int
    channel: Channel
    intent: Intent
    topic: str | None
    priority: int
    event: EventName
    status: MessageState
    since: TimeText | None
    until: TimeText | None
    expires_at: TimeText | None
    to: str | None
    content: AnyObject | None
    hidden: str | None
    locale: str | None
    adapter: str | None
    provider_id: str | None
    detail: str | None
    attempt_count: int
    created: TimeText
    updated: TimeText


class Attempt(TypedDict):
    """One try to hand a message over."""

    number: int
    state: str
    outcome: str | None
    detail: str | None
    marked_at: TimeText | None
    closed_at: TimeText | None


class ReceiptFields(TypedDict):
    """What the provider has said about the message after it had taken it."""

    kind: ReceiptKind
    permanent: bool
    by_machine: bool
    detail: str | None
    adapter: str
    at: TimeText
    received: TimeText


class MessageWithAttempts(MessageFields):
    """A message with its attempts, receipts and decisions. `delivery`: what became of it, the most that was said.
    `waits`: what it waits for at its provider, of a message that may be sent.
    """

    delivery: ReceiptKind | None
    waits: ProviderWaitFields | None
    attempts: list[Attempt]
    receipts: list[ReceiptFields]
    decisions: list[DecisionFields]


def message_routes(database: Database, adapters: Adapters) -> APIRouter:
    """The routes of `/v1/messages`."""
    routes = APIRouter(prefix="/v1/messages", tags=["messages"])

    @routes.get("", summary="Messages, oldest first", **answers({200: Page[MessageFields]}))
    async def list_messages(
        customer: str | None = None,
        campaign: str | None = None,
        status: MessageState | None = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        principal: Principal = requires("messages:read", shows_more=CUSTOMER_DATA, list_unless="customer"),
    ) -> dict[str, object]:
        async with database.read() as tx:
            found = await query_store.list_messages(
                tx,
                customer=customer,
                campaign=campaign,
                status=status,
                after=decode_cursor(after, tuple[int, str]) if after else None,
                limit=limit + 1,
            )
        last = found[limit - 1] if len(found) > limit else None
        return to_page(
            [_message_document(row, principal) for row in found[:limit]],
            encode_cursor((last.created, last.message_id)) if last else None,
        )

    _add_message_route(routes, database, adapters)
    return routes


def _add_message_route(routes: APIRouter, database: Database, adapters: Adapters) -> None:
    @routes.get(
        "/{id}",
        summary="One message as sent, with its attempts and decisions",
        **answers({200: MessageWithAttempts}, errors.NotFound),
    )
    async def get_message(
        id: str, principal: Principal = requires("messages:read", shows_more=CUSTOMER_DATA)
    ) -> dict[str, Any]:
        async with database.read() as tx:
            row = await query_store.get_message(tx, id)
            if row is None:
                raise NotFound(f"there is no message `{id[:60]}`")
            note_customer(row.customer)
            attempts = await query_store.list_attempts(tx, id)
            receipts = await receipt_store.list_receipts(tx, id)
            decisions = await list_message_decisions(tx, row.customer, id)
            wait = await find_provider_wait(tx, adapters, id, row.customer)
        return {
            **_message_document(row, principal),
            "delivery": max(
                (each.kind for each in receipts if each.kind in DELIVERY_LADDER),
                key=DELIVERY_LADDER.index,
                default=None,
            ),
            "waits": wait_document(id, wait),
            "attempts": [_attempt_document(attempt, principal) for attempt in attempts],
            "receipts": [_receipt_document(each, principal) for each in receipts],
            "decisions": [decision_document(stored) for stored in decisions],
        }


def _message_document(row: Any, principal: Principal) -> dict[str, Any]:
    """The address and the content are the customer's data; the content holds links that act on behalf of them, too."""
    may_see = is_allowed(principal.role, CUSTOMER_DATA)
    return {
        "message_id": row.message_id,
        "customer": row.customer,
        "campaign": row.campaign,
        "version": row.version,
        "policy_version": row.policy_version,
        "channel": row.channel,
        "class": row.cls,
        "intent": row.intent,
        "topic": row.topic,
        "priority": row.priority,
        "event": {"source": row.event_source, "id": row.event_id},
        "status": row.state,
        "since": format_optional_instant(row.since),
        "until": format_optional_instant(row.until),
        "expires_at": format_optional_instant(row.expires_at),
        "to": row.to_address if may_see else None,
        "content": decode_content(row.content) if may_see else None,
        "hidden": None if may_see else f"the role {principal.role} may not see customers' data",
        "locale": row.locale,
        "adapter": row.adapter,
        "provider_id": row.provider_id,
        "detail": _shown_detail(row.detail, principal),
        "attempt_count": row.attempts,
        "created": format_instant(row.created),
        "updated": format_instant(row.updated),
    }


def _shown_detail(detail: str | None, principal: Principal) -> str | None:
    """What the adapter said. Providers like to repeat the address, which not everybody may see."""
    return detail if detail is None or is_allowed(principal.role, CUSTOMER_DATA) else redact(detail)


def _receipt_document(row: Any, principal: Principal) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "permanent": bool(row.permanent),
        "by_machine": bool(row.by_machine),
        "detail": _shown_detail(row.detail, principal),
        "adapter": row.adapter,
        "at": format_instant(row.at),
        "received": format_instant(row.received),
    }


def _attempt_document(row: Any, principal: Principal) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state,
        "outcome": row.outcome,
        "detail": _shown_detail(row.detail, principal),
        "marked_at": format_optional_instant(row.claimed_at),
        "closed_at": format_optional_instant(row.closed_at),
    }

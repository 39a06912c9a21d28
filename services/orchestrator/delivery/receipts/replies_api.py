"""`/v1/replies`: what customers answer that may ask to stop, and what people decide about it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from typing_extensions import TypedDict

from schemas.fields import Document
from schemas.roles import is_allowed
from schemas.times import format_instant
from schemas.vocabulary import Channel
from services.kit import errors
from services.kit.db.database import Database
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document_body
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.delivery.receipts import undecided_store
from services.orchestrator.delivery.receipts.entry_api import EntriesRefused
from services.orchestrator.delivery.receipts.reply_decisions import DecidedOtherwise, ReplyDecisions
from services.orchestrator.delivery.receipts.undecided_store import ReplyDecision, ReplyState

READ, DECIDE, CUSTOMER_DATA = "replies:read", "replies:decide", "customers:read"


class ReplyFields(TypedDict):
    """A reply that may ask to stop. `text`: null once it is decided, and for roles that may not see customers' data;
    then `hidden` says so. `decided_by`: `the customer`, where a plain STOP or START has followed.
    """

    id: int
    customer: str
    channel: Channel
    adapter: str
    message_id: str
    text: str | None
    hidden: str | None
    at: TimeText
    received: TimeText
    state: ReplyState
    decided_by: str | None
    decided_at: TimeText | None


class ReplyDecided(Document):
    """What a person takes the reply for: `stop` forbids as STOP does, `not_stop` lets go on what waits."""

    decision: ReplyDecision


def reply_routes(database: Database, decisions: ReplyDecisions) -> APIRouter:
    """The routes of `/v1/replies`."""
    routes = APIRouter(prefix="/v1/replies", tags=["replies"])

    @routes.get(
        "",
        summary="Replies that may ask to stop, the oldest first; without `state` those that nobody has decided about",
        **answers({200: Page[ReplyFields]}),
    )
    async def list_replies(
        state: ReplyState | Literal["all"] = "undecided",
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        principal: Principal = requires(READ, shows_more=CUSTOMER_DATA),
    ) -> dict[str, object]:
        start = decode_cursor(after, int) if after else 0
        async with database.read() as tx:
            rows = await undecided_store.list_replies(tx, None if state == "all" else state, start, limit + 1)
        items = [reply_document(row, principal) for row in rows[:limit]]
        return to_page(items, encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None)

    @routes.post(
        "/{id}/decision",
        summary="Decide what a reply means; answered once it has taken effect",
        **answers({200: ReplyFields}, errors.NotFound, DecidedOtherwise, EntriesRefused),
    )
    async def decide(
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        principal: Principal = requires(DECIDE, shows_more=CUSTOMER_DATA),
        wanted: ReplyDecided = document_body(ReplyDecided),
    ) -> dict[str, Any]:
        row = await decisions.decide(id, wanted.decision, principal.name)
        note_customer(row.customer)
        return reply_document(row, principal)

    return routes


def reply_document(row: Any, principal: Principal) -> dict[str, Any]:
    """A reply as a role may see it."""
    may_see = is_allowed(principal.role, CUSTOMER_DATA)
    return {
        "id": row.seq,
        "customer": row.customer,
        "channel": row.channel,
        "adapter": row.adapter,
        "message_id": row.message_id,
        "text": row.text if may_see else None,
        "hidden": None if may_see else f"the role {principal.role} may not see customers' data",
        "at": format_instant(row.at),
        "received": format_instant(row.received),
        "state": row.state,
        "decided_by": row.decided_by,
        "decided_at": format_optional_instant(row.decided_at),
    }

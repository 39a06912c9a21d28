"""`GET /v1/sandbox/messages`: the messages that the sandbox has stored."""

from typing import Any

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.times import format_instant
from schemas.vocabulary import Channel
from services.kit.http.answer_types import AnyObject, Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.orchestrator.delivery.adapters.definition import AdapterApiContext
from services.orchestrator.delivery.adapters.sandbox import store
from services.orchestrator.delivery.query_store import decode_content


class SandboxMessage(TypedDict):
    """What would have been sent."""

    message_id: str
    customer: str
    campaign: str
    channel: Channel
    to: str
    content: AnyObject | None
    at: TimeText


def create_routes(context: AdapterApiContext) -> APIRouter:
    """The routes of `/v1/sandbox`."""
    database = context.database
    routes = APIRouter(prefix="/v1/sandbox", tags=["sandbox"])

    @routes.get(
        "/messages",
        summary="What the sandbox adapter would have sent, oldest first",
        **answers({200: Page[SandboxMessage]}),
    )
    async def list_sandbox_messages(
        customer: str | None = None,
        channel: Channel | None = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("sandbox:read", list_unless="customer"),
    ) -> dict[str, object]:
        async with database.read() as tx:
            rows = await store.list_messages_after(
                tx,
                customer=customer,
                channel=channel,
                after=decode_cursor(after, tuple[int, str]) if after else None,
                limit=limit + 1,
            )
        last = rows[limit - 1] if len(rows) > limit else None
        items = [_message_document(row) for row in rows[:limit]]
        return to_page(items, encode_cursor((last.at, last.message_id)) if last else None)

    return routes


def _message_document(row: Any) -> dict[str, Any]:
    return {
        "message_id": row.message_id,
        "customer": row.customer,
        "campaign": row.campaign,
        "channel": row.channel,
        "to": row.to_address,
        "content": decode_content(row.content),
        "at": format_instant(row.at),
    }

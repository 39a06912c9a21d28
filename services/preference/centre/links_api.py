"""Signed links to a customer's own pages, for the company's site or app: `POST /v1/preferences/{customer}/links`."""

from __future__ import annotations

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.fields import CustomerId, Document, Key
from schemas.link_tokens import EDIT_DAYS, create_link_builder
from schemas.times import DAY, format_instant
from schemas.vocabulary import Class
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import document_body
from services.preference.centre.link_context import LinkContext


class LinksRequest(Document):
    """What the unsubscribe link is to stop: a topic, or without one all marketing."""

    topic: Key | None = None


class CustomerLinks(TypedDict):
    """Links that act for the customer without signing in. Whoever has one can use it: give them to the customer alone.

    `edit_until`: until then `preferences` lets its holder choose; unsubscribing works for ever.
    """

    preferences: str
    unsubscribe: str
    edit_until: TimeText


def links_routes(context: LinkContext, public_url: str) -> APIRouter:
    """The route. `public_url`: where customers reach the pages."""
    router = APIRouter(prefix="/v1/preferences/{customer}", tags=["preferences"])
    build_links = create_link_builder(context.keys, public_url)

    @router.post(
        "/links",
        summary="Signed links to the customer's preference and unsubscribe pages",
        **answers({200: CustomerLinks}),
    )
    async def create_links(
        customer: CustomerId,
        principal: Principal = requires("preferences:write", store_response=False),
        body: LinksRequest | None = document_body(
            LinksRequest, required=False, examples={"of a topic": {"topic": "news"}}
        ),
    ) -> dict[str, str]:
        now = context.now()
        links = build_links(customer, None if body is None else body.topic, Class.MARKETING.value, now)
        last_day = (now // DAY + EDIT_DAYS + 1) * DAY
        return {**links, "edit_until": format_instant(last_day)}

    return router

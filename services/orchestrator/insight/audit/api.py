"""Broken promises over HTTP, as the auditor found them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import Row

from services.kit.db.database import Database
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.orchestrator.campaigns.api_common import time_of
from services.orchestrator.insight.audit import store

_LAST = 2**63 - 1


def router(database: Database) -> APIRouter:
    """The route `/v1/violations`."""
    routes = APIRouter(prefix="/v1/violations", tags=["audit"])

    @routes.get("", summary="Handovers that broke a promise, newest first")
    async def every(
        invariant: Annotated[str | None, Query(max_length=40)] = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        _: Principal = requires("violations:read"),
    ) -> dict[str, object]:
        before = decode_cursor(after, int) if after else _LAST
        async with database.read() as tx:
            found = await store.violations(tx, before, limit + 1, invariant)
        return page(
            list(map(_shown, found[:limit])), encode_cursor(found[limit - 1].seq) if len(found) > limit else None
        )

    return routes


def _shown(row: Row[Any]) -> dict[str, Any]:
    about: Literal["message", "customer"] = "customer" if row.subject == row.customer else "message"
    return {
        "invariant": row.invariant,
        "about": about,
        "message_id": row.subject if about == "message" else None,
        "customer": row.customer,
        "rule": row.rule,
        "rule_id": row.detail or None,
        "policy_version": row.policy_version,
        "marked_at": time_of(row.marked_at),
        "found": time_of(row.found),
    }

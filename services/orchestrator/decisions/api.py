"""Decisions over HTTP, in the order in which `tactful simulate` writes them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from schemas.decision import to_document
from schemas.times import Instant, parse_instant
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.orchestrator.campaigns.api_common import time_of
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.read_store import DecisionFilter, Kept, Position
from services.orchestrator.explain.replay import Replayed, Replayer
from services.orchestrator.explain.wording import sentence

Trace = Annotated[Literal["none", "decisive", "full"], Query(description="Which verdicts to show")]
Instantly = Annotated[str | None, Query(description="RFC 3339 time")]


def router(database: Database, replayer: Replayer) -> APIRouter:
    """The routes of `/v1/decisions`."""
    routes = APIRouter(prefix="/v1/decisions", tags=["decisions"])

    @routes.get("", summary="Decisions, in order of time and message; `from` inclusive, `to` exclusive")
    async def every(
        customer: str | None = None,
        campaign: str | None = None,
        channel: str | None = None,
        outcome: str | None = None,
        reason: str | None = None,
        since: Annotated[Instantly, Query(alias="from")] = None,
        until: Annotated[Instantly, Query(alias="to")] = None,
        trace: Trace = "decisive",
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        _: Principal = requires("decisions:read"),
    ) -> dict[str, object]:
        span = {"since": instant("from", since), "until": instant("to", until)}
        wanted = DecisionFilter(customer, campaign, channel, outcome, reason, **span)
        async with database.read() as tx:
            found = await read_store.decisions(tx, wanted, decode_cursor(after, Position) if after else None, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        items = [shown(kept, trace) for kept in found[:limit]]
        return page(items, encode_cursor(_position(last)) if last else None)

    @routes.get("/{id}", summary="One decision, with its full trace, and in words; `replay` judges it again")
    async def one(
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        replay: bool = False,
        _: Principal = requires("decisions:read"),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            kept = await read_store.decision(tx, id)
        if kept is None:
            raise NotFound(f"there is no decision {id}")
        answer = {**shown(kept, "full"), "sentence": sentence(kept.decision)}
        return {**answer, "replay": _replayed(await replayer.replay(id))} if replay else answer

    return routes


def shown(kept: Kept, trace: str = "decisive") -> dict[str, Any]:
    """A decision with its id."""
    return {"decision_id": kept.decision_id, **to_document(kept.decision, trace)}


def instant(name: str, text: str | None) -> Instant | None:
    """The instant of a query parameter. Raises Invalid."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        problem = Problem(f"/query/{name}", "bad_time", str(error))
        raise Invalid(f"`{name}` cannot be read; see errors.", errors=[problem]) from None


def _replayed(replayed: Replayed) -> dict[str, Any]:
    again = replayed.decision
    return {
        "same": replayed.same,
        "facts_at": time_of(replayed.facts_at),
        "decision": None if again is None else to_document(again, "full"),
        "sentence": None if again is None else sentence(again),
        "unknown": list(replayed.unknown),
    }


def _position(kept: Kept) -> Position:
    return Position(kept.decision.time, kept.decision.message_id, kept.decision_id)

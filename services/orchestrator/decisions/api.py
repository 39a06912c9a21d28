"""HTTP routes of decisions. They are listed in the order in which `tactful simulate` writes them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Path, Query
from typing_extensions import TypedDict

from schemas.decision import Decision
from schemas.reasons import Reason
from schemas.vocabulary import Channel, Outcome
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, document_schema
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_parsing import parse_range_params
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.decision_fields import DecisionFields
from services.orchestrator.decisions.facts_reader import FactsRefused
from services.orchestrator.decisions.read_store import DecisionCursor, DecisionFilter, StoredDecision, decision_document

TraceParam = Annotated[Literal["none", "decisive", "full"], Query(description="Which verdicts to show")]
InstantParam = Annotated[str | None, Query(description="RFC 3339 time")]


class Replay(TypedDict):
    """What the same code decides today on the facts of then. `unknown`: facts that are no longer kept, so that `same`
    may be null.
    """

    same: bool | None
    facts_at: TimeText | None
    decision: Annotated[dict[str, Any], document_schema("decision")] | None
    sentence: str | None
    unknown: list[str]


class DecisionInWords(DecisionFields):
    """A decision with its full trace, in words, and replayed if asked for."""

    sentence: str
    replay: NotRequired[Replay]


ExplainDecision = Callable[[Decision], dict[str, Any]]
"""The document of a decision with its full trace, in words: services.orchestrator.explain.wording."""
ReplayDecision = Callable[[int], Awaitable[dict[str, Any]]]
"""Decision id -> the document of its replay: services.orchestrator.explain.replay."""


def decision_routes(database: Database, explain: ExplainDecision, replay_decision: ReplayDecision) -> APIRouter:
    """The routes of `/v1/decisions`."""
    routes = APIRouter(prefix="/v1/decisions", tags=["decisions"])

    @routes.get(
        "",
        summary="Decisions, in order of time and message; `from` inclusive, `to` exclusive",
        **answers({200: Page[DecisionFields]}),
    )
    async def list_decisions(
        customer: str | None = None,
        campaign: str | None = None,
        channel: Channel | None = None,
        outcome: Outcome | None = None,
        reason: Reason | None = None,
        since: Annotated[InstantParam, Query(alias="from")] = None,
        until: Annotated[InstantParam, Query(alias="to")] = None,
        trace: TraceParam = "decisive",
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("decisions:read", list_unless="customer"),
    ) -> dict[str, object]:
        criteria = DecisionFilter(customer, campaign, channel, outcome, reason, *parse_range_params(since, until))
        async with database.read() as tx:
            found = await read_store.list_decisions(
                tx, criteria, decode_cursor(after, DecisionCursor) if after else None, limit + 1
            )
        last = found[limit - 1] if len(found) > limit else None
        items = [decision_document(stored, trace) for stored in found[:limit]]
        return to_page(items, encode_cursor(_to_cursor(last)) if last else None)

    @routes.get(
        "/{id}",
        summary="One decision, with its full trace, and in words; `replay` judges it again",
        **answers({200: DecisionInWords}, errors.NotFound, FactsRefused),
    )
    async def get_decision(
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        replay: bool = False,
        _: Principal = requires("decisions:read"),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            stored = await read_store.get_decision(tx, id)
        if stored is None:
            raise NotFound(f"there is no decision {id}")
        note_customer(stored.decision.customer)
        document = {**decision_document(stored, "none"), **explain(stored.decision)}
        return {**document, "replay": await replay_decision(id)} if replay else document

    return routes


def _to_cursor(stored: StoredDecision) -> DecisionCursor:
    return DecisionCursor(stored.decision.time, stored.decision.message_id, stored.decision_id)

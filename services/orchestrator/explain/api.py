"""HTTP route of explanations (`/v1/why`), in words."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from schemas.decision import Decision, to_document
from schemas.event import decode_event
from schemas.times import format_instant
from schemas.vocabulary import Channel, Outcome
from services.kit import errors
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.http.answer_types import TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, document_schema
from services.kit.http.request_parsing import parse_instant_param
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.accepted_events import find_accepted
from services.orchestrator.decisions.decision_fields import DecisionFields
from services.orchestrator.decisions.facts_reader import FactsRefused
from services.orchestrator.decisions.store import event_key
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.provider_waits import (
    ProviderWaitFields,
    find_provider_wait,
    find_waiting_message,
    wait_document,
)
from services.orchestrator.explain import wording
from services.orchestrator.explain.explainer import Explainer, Explanation, outcome_rank


class EventFields(TypedDict):
    """Which event: its source, id and type."""

    source: str
    id: str
    type: str


class ChannelAnswer(TypedDict):
    """What would be decided on one channel."""

    channel: Channel
    outcome: Outcome
    reason: str
    sentence: str


class ExplanationFields(TypedDict):
    """What would be decided about this customer and campaign, and why. `earliest`: when it may be sent; `change`: what
    would have to change; `unknown`: what is no longer known about then; `waits`: of the newest message that may be sent
    and is not yet, what it waits for at its provider; `in_trial`: adapters of the channel that reach listed
    recipients only.
    """

    customer: str
    campaign: str
    at: TimeText
    assumed_event: EventFields | None
    version: int
    policy_version: int
    preference_version: int
    channel: Channel
    outcome: Outcome
    reason: str
    rule_id: str | None
    until: TimeText | None
    allowed_from: TimeText | None
    lost_to: str | None
    failure: Annotated[Any, document_schema("decision", "failure")]
    short: str
    sentence: str
    earliest: TimeText | None
    change: list[str]
    verdicts: Annotated[list[Any], document_schema("decision", "verdicts")]
    jumps: Annotated[list[Any], document_schema("decision", "jumps")]
    unknown: list[str]
    channels: list[ChannelAnswer]
    waits: ProviderWaitFields | None
    in_trial: list[str]


class DecisionSentence(DecisionFields):
    """A decision, in words too."""

    sentence: str


class NotTriggered(TypedDict):
    """A campaign that the event did not trigger, and why."""

    campaign: str
    words: str


class ExplainedEvent(TypedDict):
    """What was decided about an event."""

    source: str
    event: str
    type: str
    customer: str
    decisions: list[DecisionSentence]
    not_triggered: list[NotTriggered]


TextParam = Annotated[str | None, Query(min_length=1, max_length=256)]


def why_routes(explainer: Explainer, adapters: Adapters) -> APIRouter:
    """Builds the route `/v1/why`."""
    routes = APIRouter(prefix="/v1/why", tags=["decisions"])

    @routes.get(
        "",
        summary="Explain a decision: give `customer` and `campaign`, or `source` and `event`",
        **answers(
            {200: ExplanationFields | ExplainedEvent},
            errors.NotFound,
            errors.WrongState,
            errors.FenceTimeout,
            FactsRefused,
        ),
    )
    async def get_explanation(
        customer: TextParam = None,
        campaign: TextParam = None,
        channel: Channel | None = None,
        at: TextParam = None,
        source: TextParam = None,
        event: TextParam = None,
        _: Principal = requires("why:read"),
    ) -> dict[str, Any]:
        if source and event and not campaign and not channel and at is None:
            return await _explain_event(explainer, source, event, customer)
        if customer and campaign and not source and not event:
            moment = parse_instant_param("at", at)
            if moment is not None:
                return _explanation_document(
                    customer, campaign, channel, await explainer.explain_at(customer, campaign, moment)
                )
            found = _explanation_document(customer, campaign, channel, await explainer.explain_now(customer, campaign))
            found["in_trial"] = adapters.in_trial(found["channel"])
            return {**found, "waits": await _find_wait(explainer, adapters, customer, campaign)}
        detail = "give either `customer` and `campaign` (and `channel`, `at`), or `source` and `event`"
        raise Invalid(detail, errors=[Problem("/query", "wrong_parameters", detail)])

    return routes


async def _find_wait(
    explainer: Explainer, adapters: Adapters, customer: str, campaign: str
) -> ProviderWaitFields | None:
    async with explainer.database.read() as tx:
        message_id = await find_waiting_message(tx, customer, campaign)
        if message_id is None:
            return None
        return wait_document(message_id, await find_provider_wait(tx, adapters, message_id, customer))


async def _explain_event(explainer: Explainer, source: str, id: str, customer: str | None) -> dict[str, Any]:
    async with explainer.database.read() as tx:
        raw = await read_store.get_event(tx, source, id, customer)
        event = None if raw is None else decode_event(raw)
        stored = [] if event is None else await read_store.list_event_decisions(tx, *event_key(event))
        accepted = await find_accepted(tx, source, id, customer) if event is None else None
    if accepted is not None:
        raise NotFound(
            f"the event was accepted at {format_instant(accepted.received)}, and nothing has come of it so far: such "
            "events are not stored; the `notes` of the answer when it is sent say why it triggers no campaign"
        )
    if event is None:
        raise NotFound(
            "no event with this source and id is stored: it has not arrived, or it triggered no active campaign"
        )
    note_customer(event.customer)
    return {
        "source": event.source,
        "event": event.id,
        "type": event.type,
        "customer": event.subject,
        "decisions": [
            {
                "decision_id": item.decision_id,
                **wording.explained_document(item.decision),
            }
            for item in stored
        ],
        "not_triggered": [
            {"campaign": each.campaign, "words": each.words}
            for each in await explainer.explain_untriggered(event, {item.decision.campaign for item in stored})
        ],
    }


def _explanation_document(
    customer: str, campaign: str, channel: Channel | None, explanation: Explanation
) -> dict[str, Any]:
    decisions, assumed_event = explanation.decisions, explanation.assumed_event
    matching = [decision for decision in decisions if channel is None or decision.channel == channel]
    if not matching:
        used_channels = ", ".join(decision.channel for decision in decisions)
        problem = Problem("/query/channel", "not_used", f"the campaign `{campaign}` uses {used_channels}")
        raise Invalid(f"the campaign does not use {channel}", errors=[problem])
    best = min(matching, key=outcome_rank)
    return {
        "customer": customer,
        "campaign": campaign,
        "at": format_instant(explanation.at),
        "assumed_event": None
        if assumed_event is None
        else {"source": assumed_event.source, "id": assumed_event.id, "type": assumed_event.type},
        **_decision_details(best),
        "unknown": list(explanation.unknown),
        "waits": None,
        "in_trial": [],
        "channels": [
            {
                "channel": decision.channel,
                "outcome": decision.outcome,
                "reason": decision.reason,
                "sentence": wording.with_readable_times(wording.explain_decision(decision)),
            }
            for decision in decisions
        ],
    }


def _decision_details(decision: Decision) -> dict[str, Any]:
    earliest = decision.time if decision.outcome == Outcome.SEND else decision.until or decision.allowed_from
    decision_fields = to_document(decision, "full")
    return {
        **{name: decision_fields[name] for name in ("version", "policy_version", "preference_version", "channel")},
        **{
            name: decision_fields[name] for name in ("outcome", "reason", "rule_id", "until", "allowed_from", "lost_to")
        },
        "failure": decision_fields["failure"],
        "short": wording.summarise_reason(decision),
        "sentence": wording.with_readable_times(wording.explain_decision(decision)),
        "earliest": format_optional_instant(earliest),
        "change": [wording.with_readable_times(change) for change in wording.list_changes(decision)],
        "verdicts": wording.describe_verdicts(decision),
        "jumps": decision_fields["jumps"],
    }

"""Why, or why not: a customer and a campaign judged now, or the decisions of an event, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

import schemas.campaign
from schemas.decision import Decision, to_document
from schemas.documents import validate
from schemas.event import Event, data_of, decode_structured
from schemas.times import Instant, format_instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Channel, Outcome, Reason
from services.kit.bus.fence import committed
from services.kit.db.database import Database, Tx
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.http.auth import Principal, requires
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.api_common import time_of
from services.orchestrator.campaigns.conditions import campaign_condition
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.decisions.api import instant
from services.orchestrator.decisions.events_api import key_of
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.explain import as_of, wording
from services.orchestrator.policy.compiled_campaign import Campaign, compile_campaign
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.explain import explain, in_the_way
from services.orchestrator.policy.horizon import look_back
from services.orchestrator.policy.match import Touch

Text = Annotated[str | None, Query(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What would be decided at an instant; one decision a channel.

    `last`: the event whose data are assumed. `unknown`: what could not be told, in words.
    """

    last: Event | None
    at: Instant
    decisions: Sequence[Decision]
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Explainer:
    """What `why` works with."""

    database: Database
    snapshot: Snapshot
    gatherer: Gatherer
    clock: Clock

    async def now(self, customer: str, key: str) -> tuple[Event | None, Instant, list[Decision]]:
        """What would be decided if the campaign's trigger fired for the customer now; one decision a channel.

        The data are those of the customer's last event that triggered the campaign, if there is one, which is
        returned. Raises NotFound for an unknown campaign, Transient when facts cannot be had.
        """
        now = self.clock.now()
        async with self.database.read() as tx:
            positions = await committed(tx)
            catalogue = await self.snapshot.current(tx)
            campaign = await self._campaign(tx, key)
            since = look_back(catalogue.policy, [*catalogue.campaigns.values(), campaign], now)
            held = (await data_plane.ledgers(tx, [customer], since)).get(customer, data_plane.NOTHING_HELD)
            raw = await read_store.last_trigger(tx, customer, key)
        facts = (await self.gatherer.facts([customer], catalogue, positions))[customer]
        last, touch = _supposed(customer, campaign, raw, now)
        return last, now, explain(touch, facts, held.ledger, now)

    async def then(self, customer: str, key: str, at: Instant) -> Answer:
        """What would have been decided if the trigger had fired at an instant of the past, with what was known then.

        Raises Invalid for the future, NotFound for a campaign that was not there yet, Transient.
        """
        if at > self.clock.now():
            detail = "nobody knows the facts of the future; leave `at` out to ask about now"
            raise Invalid("`at` lies ahead", errors=[Problem("/query/at", "future", detail)])
        async with self.database.read() as tx:
            configured = (await self.snapshot.current(tx)).configured
            policy = await as_of.policy_at(tx, at)
            campaign = await self._campaign_at(tx, key, at)
            ledger = await as_of.ledger_at(tx, customer, at)
            raw = await as_of.trigger_at(tx, customer, key, at)
        preference, known = await self.gatherer.facts_at(customer, at, at)
        then = known.facts[-1]
        facts = Facts(preference, then.customer, then.holds, policy, configured)
        last, touch = _supposed(customer, campaign, raw, at)
        unknown = [as_of.CHANNELS_UNKNOWN, *as_of.unknown_addresses(known.unknown)]
        return Answer(last, at, explain(touch, facts, ledger, at), unknown)

    async def _campaign_at(self, tx: Tx, key: str, at: Instant) -> Campaign:
        changes = await as_of.stood(tx, key)
        found = as_of.standing(changes, at)
        campaign = found and await as_of.campaign_of(tx, key, found.version, found.status is Status.ACTIVE)
        if campaign is None:
            later = f"; it was registered at {format_instant(changes[0].at)}" if changes else ""
            raise NotFound(f"there was no campaign `{key[:80]}` at {format_instant(at)}{later}")
        return campaign

    async def _campaign(self, tx: Tx, key: str) -> Campaign:
        """The version that runs or ran last; before that, the newest one, which is not active."""
        launched = self.snapshot.campaign(key)
        if launched is not None:
            return launched
        head = await catalogue_store.head(tx, key)
        newest = None if head is None else await catalogue_store.campaign_version(tx, key, head.newest)
        if newest is None:
            raise NotFound(f"there is no campaign `{key[:80]}`")
        document = validate(schemas.campaign.Campaign, newest.document)
        return compile_campaign(document, newest.version, False, campaign_condition)


def _supposed(customer: str, campaign: Campaign, raw: bytes | None, at: Instant) -> tuple[Event | None, Touch]:
    """The campaign's trigger fired at an instant, with the data of that event, which is returned."""
    last = None if raw is None else decode_structured(raw)
    event = Event("why", "/why", campaign.event, customer, at, last.data if last else msgspec.Raw(b"{}"))
    return last, Touch(event, data_of(event), campaign, channels=campaign.channels)


def router(explainer: Explainer) -> APIRouter:
    """The route `/v1/why`."""
    routes = APIRouter(prefix="/v1/why", tags=["decisions"])

    @routes.get("", summary="Why, or why not: `customer` and `campaign`, or `source` and `event`")
    async def why(
        customer: Text = None,
        campaign: Text = None,
        channel: Channel | None = None,
        at: Text = None,
        source: Text = None,
        event: Text = None,
        _: Principal = requires("why:read"),
    ) -> dict[str, Any]:
        if source and event and not campaign and not channel and at is None:
            return await _of_event(explainer.database, source, event, customer)
        if customer and campaign and not source and not event:
            moment = instant("at", at)
            if moment is not None:
                return _shown(customer, campaign, channel, await explainer.then(customer, campaign, moment))
            return _shown(customer, campaign, channel, Answer(*await explainer.now(customer, campaign)))
        pair = "give either `customer` and `campaign` (and `channel`, `at`), or `source` and `event`"
        raise Invalid(pair, errors=[Problem("/query", "wrong_parameters", pair)])

    return routes


async def _of_event(database: Database, source: str, id: str, customer: str | None) -> dict[str, Any]:
    async with database.read() as tx:
        raw = await read_store.known_event(tx, source, id, customer)
        event = None if raw is None else decode_structured(raw)
        kept = [] if event is None else await read_store.decisions_of_event(tx, *key_of(event))
    if event is None:
        raise NotFound(
            "this event has triggered nothing: it has not arrived, or no campaign that runs is triggered by it"
        )
    return {
        "source": event.source,
        "event": event.id,
        "type": event.type,
        "customer": event.subject,
        "decisions": [
            {
                "decision_id": item.decision_id,
                **to_document(item.decision, "full"),
                "sentence": wording.sentence(item.decision),
            }
            for item in kept
        ],
    }


def _shown(customer: str, campaign: str, channel: Channel | None, answer: Answer) -> dict[str, Any]:
    decisions, last = answer.decisions, answer.last
    asked = [decision for decision in decisions if channel is None or decision.channel == channel]
    if not asked:
        used = ", ".join(decision.channel for decision in decisions)
        problem = Problem("/query/channel", "not_used", f"the campaign `{campaign}` uses {used}")
        raise Invalid(f"the campaign does not use {channel}", errors=[problem])
    chosen = min(asked, key=promise)
    return {
        "customer": customer,
        "campaign": campaign,
        "at": format_instant(answer.at),
        "assumed_event": None if last is None else {"source": last.source, "id": last.id, "type": last.type},
        **_explained(chosen),
        "unknown": list(answer.unknown),
        "channels": [
            {
                "channel": decision.channel,
                "outcome": decision.outcome,
                "reason": decision.reason,
                "sentence": wording.sentence(decision),
            }
            for decision in decisions
        ],
    }


def _explained(decision: Decision) -> dict[str, Any]:
    earliest = decision.time if decision.outcome == Outcome.SEND else decision.until or decision.allowed_from
    shown = to_document(decision, "full")
    return {
        **{name: shown[name] for name in ("version", "policy_version", "preference_version", "channel")},
        **{name: shown[name] for name in ("outcome", "reason", "rule_id", "until", "allowed_from", "lost_to")},
        "short": wording.SHORT[Reason(decision.reason)],
        "sentence": wording.sentence(decision),
        "earliest": time_of(earliest),
        "change": [wording.obstacle(verdict) for verdict in in_the_way(decision)],
        "verdicts": shown["verdicts"],
        "jumps": shown["jumps"],
    }


def promise(decision: Decision) -> tuple[int, Instant]:
    """What is sent comes first, then what waits, the shortest first, then what may be allowed later."""
    order = (Outcome.SEND, Outcome.DEFER, Outcome.FAIL, Outcome.SUPPRESS).index(Outcome(decision.outcome))
    return order, decision.until or decision.allowed_from or 2**63

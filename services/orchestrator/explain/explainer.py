"""Evaluates what would be decided for a customer and a campaign, now or at a past instant. It writes nothing."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.event import Event, decode_event
from schemas.message import Message
from schemas.own_events import read_stored_data
from schemas.times import Instant, format_instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Outcome
from schemas.words import channel_words
from services.kit.bus.fence import read_applied_offsets
from services.kit.db.database import Database, Tx
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.campaigns.stored_documents import compile_version
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.decisions.evaluation import (
    CustomerEvaluation,
    EvaluationRequest,
    RenderMessage,
    evaluate_customer,
)
from services.orchestrator.decisions.event_notes import describe_untriggered
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.explain import as_of
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Ledger
from services.orchestrator.policy.match import TriggeredCampaign, condition_variables
from services.template import RenderError

NOTHING_KNOWN_NOTE = "who the customer is: nothing is stored about this id"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided at an instant; one decision per channel.

    `assumed_event`: the event whose data are assumed. `unknown`: what could not be determined, in words.
    """

    assumed_event: Event | None
    at: Instant
    decisions: Sequence[Decision]
    unknown: Sequence[str] = ()


class UntriggeredCampaign(NamedTuple):
    """A campaign that an event has not triggered, with the reason in words."""

    campaign: str
    words: str


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains decisions."""

    database: Database
    snapshot: CatalogueSnapshot
    facts_reader: FactsReader
    clock: Clock
    render: RenderMessage

    async def explain_now(self, customer: str, key: str) -> Explanation:
        """Returns what would be decided if the campaign's trigger fired for the customer now; one decision per channel.

        The data are those of the customer's last event that triggered the campaign, if there is one.
        Raises NotFound for an unknown campaign, UnreadableCampaign, and Transient if facts cannot be read.
        """
        now = self.clock.now()
        async with self.database.read() as tx:
            positions = await read_applied_offsets(tx)
            catalogue = await self.snapshot.get_catalogue(tx)
            campaign = await self._load_campaign(tx, key)
            complete_since = look_back_start(catalogue.policy, [*catalogue.campaigns.values(), campaign], now)
            versioned_ledger = (await data_plane.load_ledgers(tx, [customer], complete_since)).get(
                customer, data_plane.EMPTY_LEDGER
            )
            raw = await read_store.get_last_trigger_event(tx, customer, key)
        facts = (await self.facts_reader.read_facts([customer], catalogue, positions))[customer]
        return await asyncio.to_thread(self._explain, customer, campaign, raw, facts, versioned_ledger.ledger, now, ())

    async def explain_untriggered(self, event: Event, decided: Collection[str]) -> list[UntriggeredCampaign]:
        """Returns the running campaigns of the event's type that it has not triggered, and why, as things are now.

        `decided`: the campaigns that have a decision about it. Raises Transient if facts cannot be read.
        """
        async with self.database.read() as tx:
            positions = await read_applied_offsets(tx)
            catalogue = await self.snapshot.get_catalogue(tx)
        others = [each for each in catalogue.by_event.get(event.type, ()) if each.key not in decided]
        if not others:
            return []
        facts = (await self.facts_reader.read_facts([event.subject], catalogue, positions))[event.subject]
        variables = condition_variables(event, read_stored_data(event), facts.customer_values)
        return [UntriggeredCampaign(each.key, describe_untriggered(each, variables)) for each in others]

    async def explain_at(self, customer: str, key: str, at: Instant) -> Explanation:
        """Returns what would have been decided if the trigger had fired at a past instant, with what was known then.

        Raises Invalid for the future, NotFound for a campaign that did not exist yet, Transient.
        """
        if at > self.clock.now():
            detail = "`at` must not be in the future; leave it out to explain the present"
            raise Invalid("`at` is in the future", errors=[Problem("/query/at", "future", detail)])
        async with self.database.read() as tx:
            configured = (await self.snapshot.get_catalogue(tx)).configured_channels
            policy = await as_of.policy_at(tx, at)
            campaign = await self._load_campaign_at(tx, key, at)
            ledger = await as_of.ledger_at(tx, customer, at)
            raw = await read_store.get_last_trigger_event(tx, customer, key, at)
        preference, history = await self.facts_reader.read_past_facts(customer, at, at)
        suppressions = history.facts[-1]
        facts = Facts(preference, suppressions.customer, suppressions.holds, policy, configured)
        unknown = [as_of.CHANNELS_UNKNOWN_NOTE, *as_of.unknown_address_notes(history.unknown)]
        return await asyncio.to_thread(self._explain, customer, campaign, raw, facts, ledger, at, unknown)

    def _explain(
        self,
        customer: str,
        campaign: CompiledCampaign,
        raw: bytes | None,
        facts: Facts,
        ledger: Ledger,
        at: Instant,
        unknown: Sequence[str],
    ) -> Explanation:
        """Evaluates and renders as for a live event, and writes nothing. Compiles what does not run now, so it takes
        up to seconds.
        """
        assumed_event, triggered = _assume_trigger(customer, campaign, raw, at)
        notes = list(unknown)
        if facts.preference.version == 0:
            notes.append(NOTHING_KNOWN_NOTE)

        def render(planned: PlannedMessage, known: Facts, now: Instant) -> Message:
            try:
                return self.render(planned, known, now)
            except RenderError as error:
                # Without an event there are no data to print, which says nothing about those of a real event.
                if assumed_event is None and (error.variable or "").startswith("event.data"):
                    notes.append(f"whether the content for {channel_words(planned.channel)} can be rendered")
                    return _unrendered(planned)
                raise

        request, base = EvaluationRequest(triggered_campaigns=(triggered,)), data_plane.VersionedLedger(0, ledger)
        found = evaluate_customer(customer, facts, [request], base, at, BEGINNING_OF_TIME, render)
        notes += _waiting_content_notes(found, self.render, assumed_event is not None)
        return Explanation(assumed_event, at, found.decisions, notes)

    async def _load_campaign_at(self, tx: Tx, key: str, at: Instant) -> CompiledCampaign:
        changes = await as_of.list_status_changes(tx, key)
        status = as_of.status_at(changes, at)
        campaign = status and await as_of.load_campaign(
            tx, key, status.version, status.status is Status.ACTIVE, (status.status or Status.DRAFT).value
        )
        if campaign is None:
            later = f"; it was registered at {format_instant(changes[0].at)}" if changes else ""
            raise NotFound(f"there was no campaign `{key[:80]}` at {format_instant(at)}{later}")
        return campaign

    async def _load_campaign(self, tx: Tx, key: str) -> CompiledCampaign:
        """Returns the version that is or was last active; if there is none, the newest, as inactive."""
        launched = self.snapshot.get_launched_campaign(key)
        if launched is not None:
            return launched
        head = await catalogue_store.get_head(tx, key)
        newest = None if head is None else await catalogue_store.get_campaign_version(tx, key, head.newest)
        if newest is None:
            raise NotFound(f"there is no campaign `{key[:80]}`")
        return replace((await asyncio.to_thread(compile_version, newest)).campaign, active=False)


def _unrendered(planned: PlannedMessage) -> Message:
    """Stands for a message whose content cannot be known."""
    campaign, customer = planned.triggered.campaign, planned.triggered.event.subject
    return Message(
        *(planned.message_id, customer, campaign.key, campaign.version, planned.channel, campaign.cls),
        to="",
        content={},
        event_source="",
        event_id="",
    )


def _waiting_content_notes(found: CustomerEvaluation, render: RenderMessage, has_event: bool) -> Iterator[str]:
    """What is wrong with the content of messages that would wait: they would fail when their time comes."""
    for deferred in found.deferred_messages if has_event else ():
        try:
            render(deferred.planned, found.facts, deferred.decision.time)
        except RenderError as error:
            yield (
                f"what the data will be when the message by {channel_words(deferred.planned.channel)} is due; "
                f"with those of now its content could not be rendered: {error.detail}"
            )


def _assume_trigger(
    customer: str, campaign: CompiledCampaign, raw: bytes | None, at: Instant
) -> tuple[Event | None, TriggeredCampaign]:
    """Builds the campaign as triggered at an instant with the data of that event. Returns both."""
    assumed_event = None if raw is None else decode_event(raw)
    event = Event(
        "why", "/why", campaign.event_type, customer, at, assumed_event.data if assumed_event else msgspec.Raw(b"{}")
    )
    return assumed_event, TriggeredCampaign(event, read_stored_data(event), campaign, channels=campaign.channels)


def outcome_rank(decision: Decision) -> tuple[int, Instant]:
    """The sort key of outcomes: sends first, then deferrals by length, then those that may be allowed later."""
    order = (Outcome.SEND, Outcome.DEFER, Outcome.FAIL, Outcome.SUPPRESS).index(Outcome(decision.outcome))
    return order, decision.until or decision.allowed_from or 2**63

"""Preview: a campaign's content rendered for one customer, on every channel and in every locale."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

import schemas.campaign
from schemas.documents import DocumentError
from schemas.event import InvalidEvent, decode_event
from schemas.fields import CustomerId, Document, InstantField
from schemas.finding import Finding
from schemas.link_tokens import LinkBuilder
from schemas.own_events import read_stored_data
from schemas.roles import is_allowed
from schemas.times import Instant, format_instant
from schemas.vocabulary import Channel
from services.erasure.erased_customers import CustomerErased
from services.kit import errors
from services.kit.bus.fence import read_applied_offsets
from services.kit.db.database import Database
from services.kit.errors import Forbidden, NotFound, Problem
from services.kit.http.answer_types import AnyObject
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import document_body
from services.kit.runtime.clock import Clock
from services.kit.runtime.worker_process import WorkRefused
from services.orchestrator.campaigns import document_checks
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.api_common import FindingFields, finding_documents
from services.orchestrator.campaigns.campaign_workflow import get_active_policy
from services.orchestrator.campaigns.document_checks import CheckedCampaign
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.stored_documents import compile_version
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.erasure_intake import is_erased
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.delivery.channels.completion import ContentCompleter
from services.orchestrator.delivery.channels.content_checks import LINK_NAMES, SAMPLE_CODE
from services.orchestrator.delivery.channels.content_work import check_content, render_all
from services.orchestrator.delivery.channels.costs import CostEstimator
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.delivery.rendering import read_senders
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.seen_names.findings import add_seen_names
from services.orchestrator.settings import OrchestratorSettings
from services.template import RenderError

CUSTOMER_DATA = "customers:read"

_SAMPLE_LINKS: Final = {name: f"https://example.org/{name}" for name in LINK_NAMES} | {"verification_code": SAMPLE_CODE}


class SampleNeeded(Forbidden):
    """This role may preview content for a sample of a customer only."""

    default_code = "sample_needed"


class SampleEvent(Document):
    """The variable `event` of templates; without a type, the campaign's trigger type is used."""

    type: str | None = None
    time: InstantField | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class SampleCustomer(Document):
    """What is known of a customer in a preview; it is shown in place of what is known of the real one."""

    traits: dict[str, Any] = Field(default_factory=dict)
    locale: str | None = None


class PreviewRequest(Document):
    """A campaign by key (the newest version) or as a document, and a customer.

    `sample`: required for roles that may not see customers' data; the customer is then but a name.
    """

    campaign: str | dict[str, Any]
    customer: CustomerId
    sample: SampleCustomer | None = None
    event: SampleEvent | None = None


_EXAMPLES = {
    "a campaign for a customer": {
        "campaign": "offer",
        "customer": "c-1",
        "event": {"type": "shop.offer", "data": {"total": 80.5}},
    },
    "a campaign for a sample of a customer": {
        "campaign": "offer",
        "customer": "sample",
        "sample": {"traits": {"name": "Ada"}, "locale": "en"},
        "event": {"data": {"total": 80.5}},
    },
}


class PreviewItem(TypedDict):
    """The content in one locale on one channel. `facts`: what was measured, such as the parts of an SMS, and what it
    costs where prices are set.
    """

    channel: Channel
    locale: str
    content: AnyObject | None
    facts: AnyObject
    error: FindingFields | None


class Preview(TypedDict):
    """A campaign, rendered for a customer."""

    campaign: str
    customer: str
    locale: str | None
    findings: list[FindingFields]
    items: list[PreviewItem]


class Previewer:
    """Renders content without sending it."""

    def __init__(
        self,
        database: Database,
        snapshot: CatalogueSnapshot,
        facts_reader: FactsReader,
        links: LinkBuilder,
        settings: OrchestratorSettings,
        clock: Clock,
    ) -> None:
        self._completer = ContentCompleter(settings)
        self._costs = CostEstimator(settings)
        self._senders = read_senders(settings.mail)
        self._database = database
        self._snapshot = snapshot
        self._facts_reader = facts_reader
        self._links = links
        self._clock = clock

    async def load_campaign(self, campaign: str | dict[str, Any]) -> CheckedCampaign:
        """Returns the requested campaign and what its content may fail for. Raises NotFound, UnreadableCampaign,
        DocumentError.
        """
        version: DocumentVersion | None = None
        async with self._database.read() as tx:
            policy = await get_active_policy(tx)
            if isinstance(campaign, str):
                head = await catalogue_store.get_head(tx, campaign)
                if head is not None:
                    version = await catalogue_store.get_campaign_version(tx, campaign, head.newest)
        if isinstance(campaign, str):
            if version is None:
                raise NotFound(f"there is no campaign `{campaign[:80]}`")
            document = (await asyncio.to_thread(compile_version, version)).campaign.document
            return CheckedCampaign(document, tuple(await asyncio.to_thread(check_content, document)))
        try:
            return await asyncio.to_thread(
                document_checks.validate_campaign,
                str(campaign.get("key")),
                campaign,
                policy,
                check_content,
                self._clock.now(),
            )
        except DocumentError as error:
            raise DocumentError(each.below("/campaign") for each in error.findings) from None

    async def add_seen_names(self, document: schemas.campaign.Campaign, findings: Sequence[Finding]) -> list[Finding]:
        """Returns the findings with what is known of the names in recent events and traits."""
        return await add_seen_names(self._database, document, findings, self._clock.now())

    async def build_context(
        self, document: schemas.campaign.Campaign, request: PreviewRequest
    ) -> tuple[dict[str, Any], Facts | None]:
        """Builds the template variables, and returns the facts that they are from. Without a sample event, the
        customer's last event that triggered the campaign is used; with a sample customer, nothing is read of the real
        one, and the links lead nowhere. The link that confirms a consent never leads anywhere: who looks at a preview
        is not the customer.
        """
        now, customer = self._clock.now(), request.customer
        facts: Facts | None = None
        if request.sample is not None:
            values: Mapping[str, Any] = {
                "id": customer,
                "traits": request.sample.traits,
                "locale": request.sample.locale,
            }
            raw, links = None, {}
        else:
            facts, raw = await self._read_customer(document, request)
            values = facts.customer_values
            links = dict(self._links(customer, document.topic, document.class_.value, now))
        context = {
            "customer": {name: values[name] for name in ("id", "traits", "locale")},
            "event": _event_context(document, request.event, raw, now),
            "campaign": {"key": document.key, "name": document.name},
            "links": _SAMPLE_LINKS | links,
            "sender": self._senders(document.class_.value, document.topic),
            "now": format_instant(now),
        }
        return context, facts

    def complete(self, items: Sequence[dict[str, Any]], cls: str, facts: Facts | None) -> None:
        """Adds to each item what its channel adds for the customer's address, if known, and what it would cost where
        its channel has prices.
        """
        for item in items:
            channel, content = item["channel"], item["content"]
            address = None if facts is None else facts.usable_address(channel, cls)
            to = None if address is None else address.canonical_form
            if content is not None:
                try:
                    completed = self._completer.complete(channel, content, cls, to)
                    if completed != content:
                        content = item["content"] = completed
                        item["facts"] = CHANNELS_BY_ID[channel].measure(content)
                except RenderError as error:
                    content, item["error"] = None, error.to_finding().as_document()
                    item |= {"content": None, "facts": {}}
            if content is not None and (cost := self._costs.estimate(channel, content, to)) is not None:
                item["facts"] |= {"cost": str(cost), "cost_of": cost.basis}

    async def _read_customer(
        self, document: schemas.campaign.Campaign, request: PreviewRequest
    ) -> tuple[Facts, bytes | None]:
        """What is known of the customer, and the event to show where the request has none."""
        customer = request.customer
        note_customer(customer)
        async with self._database.read() as tx:
            positions = await read_applied_offsets(tx)
            catalogue = await self._snapshot.get_catalogue(tx)
            raw = None if request.event else await read_store.get_last_trigger_event(tx, customer, document.key)
        facts: Facts = (await self._facts_reader.read_facts([customer], catalogue, positions))[customer]
        if is_erased(facts):  # an answer names the customer, and may be kept for a repeated request
            raise CustomerErased
        return facts, raw


def preview_routes(previewer: Previewer) -> APIRouter:
    """Builds the route `/v1/preview`."""
    routes = APIRouter(prefix="/v1/preview", tags=["campaigns"])

    @routes.post(
        "",
        summary="Render a campaign for a customer: all channels, all locales",
        **answers(
            {200: Preview},
            *(errors.NotFound, errors.WrongState, errors.FenceTimeout, SampleNeeded, WorkRefused, CustomerErased),
        ),
    )
    async def preview_campaign(
        principal: Principal = requires("preview:write", shows_more=CUSTOMER_DATA),
        request: PreviewRequest = document_body(PreviewRequest, examples=_EXAMPLES),
    ) -> dict[str, Any]:
        if request.sample is None and not is_allowed(principal.role, CUSTOMER_DATA):
            detail = (
                f"the role {principal.role} may not see customers' data: send a `sample` of a customer, such as "
                '{"traits": {"name": "Ada"}, "locale": "en"}'
            )
            raise SampleNeeded(detail, errors=[Problem("/sample", "missing", detail)])
        document, warnings = await previewer.load_campaign(request.campaign)
        findings = await previewer.add_seen_names(document, warnings)
        context, facts = await previewer.build_context(document, request)
        items = await asyncio.to_thread(render_all, document, context)
        previewer.complete(items, document.class_.value, facts)
        return {
            "campaign": document.key,
            "customer": request.customer,
            "locale": context["customer"]["locale"],
            "findings": finding_documents(findings),
            "items": items,
        }

    return routes


def _event_context(
    document: schemas.campaign.Campaign, sample: SampleEvent | None, raw: bytes | None, now: Instant
) -> dict[str, Any]:
    if raw is not None:
        try:
            event = decode_event(raw)
            return {"type": event.type, "time": format_instant(event.time), "data": read_stored_data(event)}
        except InvalidEvent:  # stored when validation was less strict
            pass
    sample_event = sample or SampleEvent()
    return {
        "type": sample_event.type or document.trigger.event,
        "time": format_instant(now if sample_event.time is None else sample_event.time),
        "data": sample_event.data,
    }

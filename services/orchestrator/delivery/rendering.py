"""Renders a decided message: the campaign's content in the customer's locale, for one channel and address."""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from schemas.address_ids import AddressIds
from schemas.event import Event
from schemas.facts import Address
from schemas.link_tokens import LinkBuilder
from schemas.message import Message
from schemas.own_events import ADDRESS_VERIFICATION_REQUESTED, CONSENT_REQUESTED
from schemas.times import Instant, format_instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS
from services.orchestrator.delivery.channels.completion import NOTHING_TO_ADD, ContentCompleter
from services.orchestrator.delivery.channels.content import CompiledContent as CampaignContent
from services.orchestrator.delivery.channels.content import compile_content
from services.orchestrator.delivery.links.link_tracker import NO_TRACKING, TracksLinks
from services.orchestrator.mail_settings import MailSettings
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.settings import OrchestratorSettings
from services.template import RenderError

SenderReader = Callable[[str, str | None], Mapping[str, str]]
"""Class and topic -> what templates read as `sender`."""


def no_imprint(cls: str, topic: str | None) -> Mapping[str, str]:
    """The sender of whom nothing is set."""
    return {"legal_name": "", "postal_address": ""}


def read_senders(mail: MailSettings) -> SenderReader:
    """What the settings say of senders, looked up once for each class and topic."""
    return lru_cache(maxsize=1000)(lambda cls, topic: mail.find_sender(cls, topic).imprint)


class ContentSource(Protocol):
    """Provides compiled contents."""

    def get_content(self, key: str, version: int) -> CampaignContent:
        """The content of a version of a campaign."""


class Renderer:
    """Renders messages that are sent, and no others. `on_rendered` gets channel and seconds of each rendering."""

    def __init__(
        self,
        contents: ContentSource,
        links: LinkBuilder,
        on_rendered: Callable[[str, float], None] | None = None,
        completer: ContentCompleter = NOTHING_TO_ADD,
        senders: SenderReader = no_imprint,
        tracker: TracksLinks = NO_TRACKING,
        address_ids: AddressIds | None = None,
    ) -> None:
        self._address_ids = address_ids
        self._tracker = tracker
        self._completer = completer
        self._contents = contents
        self._links = links
        self._senders = senders
        self._on_rendered = on_rendered

    def render_message(self, planned: PlannedMessage, facts: Facts, now: Instant) -> Message:
        """The message as it will be stored and handed over. Raises RenderError."""
        started = time.monotonic()
        try:
            return self._render_fields(planned, facts, now)
        finally:
            if self._on_rendered is not None:
                self._on_rendered(planned.channel, time.monotonic() - started)

    def _render_fields(self, planned: PlannedMessage, facts: Facts, now: Instant) -> Message:
        triggered, campaign = planned.triggered, planned.triggered.campaign
        address = self._choose_address(planned, facts, now)
        if address is None and planned.channel not in CHANNELS_WITHOUT_ADDRESS:
            raise RenderError("no_address", "the customer has no usable address on this channel")
        customer = facts.customer_values
        content = self._contents.get_content(campaign.key, campaign.version)
        event = {"type": triggered.event.type, "time": None, "data": triggered.data}
        context: dict[str, Any] = {
            "customer": {"id": customer["id"], "traits": customer["traits"], "locale": customer["locale"]},
            "event": event,
            "campaign": {"key": campaign.key, "name": campaign.document.name},
            "sender": self._senders(campaign.cls, campaign.topic),
        }
        if content.reads(planned.channel, "event.time"):
            event["time"] = format_instant(triggered.event.time)
        if content.reads(planned.channel, "now"):
            context["now"] = format_instant(now)
        if content.reads(planned.channel, "links"):
            asked = _asked(triggered.event, triggered.data)
            context["links"] = self._links(triggered.event.subject, campaign.topic, campaign.cls, now, **asked)
        rendered = content.render(planned.channel, customer["locale"], context)
        to = triggered.event.subject if address is None else address.canonical_form
        completed = self._completer.complete(planned.channel, rendered.fields, campaign.cls, to)
        return Message(
            *(planned.message_id, triggered.event.subject, campaign.key, campaign.version, planned.channel),
            *(campaign.cls, to),
            content=self._tracker.track(planned.channel, completed, campaign.cls, planned.message_id, now),
            event_source=triggered.event.source,
            event_id=triggered.event.id,
            locale=rendered.locale,
            topic=campaign.topic,
        )

    def _choose_address(self, planned: PlannedMessage, facts: Facts, now: Instant) -> Address | None:
        """Where the message goes: to the first address that it may use; but one that asks to verify an address goes to
        exactly that one.
        """
        triggered = planned.triggered
        attributes = triggered.campaign.attributes_by_channel[planned.channel]
        if triggered.event.type != ADDRESS_VERIFICATION_REQUESTED:
            return facts.delivery_address(attributes, now)
        if self._address_ids is None:
            return None
        wanted, customer = triggered.data.get("address"), triggered.event.subject
        open_ones = facts.addresses_to_verify(attributes, now)
        return next((each for each in open_ones if self._address_ids.of(customer, each) == wanted), None)


_ASKED_BY: Final = {CONSENT_REQUESTED: "consent_request", ADDRESS_VERIFICATION_REQUESTED: "address_request"}


def _asked(event: Event, data: Mapping[str, Any]) -> dict[str, str]:
    """The id of what the event asks to confirm: of it the link is made, which stands nowhere else."""
    name, request = _ASKED_BY.get(event.type), data.get("request")
    return {name: request} if name is not None and isinstance(request, str) else {}


class _OneContent:
    def __init__(self, content: CampaignContent) -> None:
        self._content = content

    def get_content(self, key: str, version: int) -> CampaignContent:
        return self._content


def explanation_renderer(
    running: ContentSource, links: LinkBuilder, settings: OrchestratorSettings | None = None
) -> Callable[[PlannedMessage, Facts, Instant], Message]:
    """Renders for explanations: as live messages are rendered, also drafts and versions that do not run any more. Links
    stay as they are, so that whoever looks at an explanation counts as nobody's click.
    """

    completer = ContentCompleter(settings)
    senders = no_imprint if settings is None else read_senders(settings.mail)
    ids = None if settings is None else AddressIds(settings.require("address_key").encode())

    def render_message(planned: PlannedMessage, facts: Facts, now: Instant) -> Message:
        campaign, contents = planned.triggered.campaign, running
        try:
            running.get_content(campaign.key, campaign.version)
        except KeyError:
            contents = _OneContent(compile_content(campaign.document))
        return Renderer(contents, links, completer=completer, senders=senders, address_ids=ids).render_message(
            planned, facts, now
        )

    return render_message

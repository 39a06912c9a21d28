"""Tailors a decided message to its channel: the campaign's content in the customer's locale, and the address."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from schemas.times import Instant, format_instant
from schemas.vocabulary import Channel
from services.orchestrator.decisions.evaluation import Content
from services.orchestrator.delivery.channels import BY_KEY, BadAddress
from services.orchestrator.delivery.channels.content import Content as CampaignContent
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import Planned
from services.template import RenderError

Links = Callable[[str, str | None, str], Mapping[str, str]]
"""Customer, topic and class -> the addresses of the pages `unsubscribe` and `preferences`."""


class Contents(Protocol):
    """Where compiled contents are found."""

    def content(self, campaign: str, version: int) -> CampaignContent:
        """The content of a version of a campaign."""


class Renderer:
    """Renders what is sent, and only that. `spent` is told the channel and the seconds of each rendering."""

    def __init__(self, contents: Contents, links: Links, spent: Callable[[str, float], None] | None = None) -> None:
        self._contents = contents
        self._links = links
        self._spent = spent

    def render(self, planned: Planned, facts: Facts, now: Instant) -> Content:
        """The message's fields and address. Raises RenderError."""
        began = time.monotonic()
        try:
            return self._rendered(planned, facts, now)
        finally:
            if self._spent is not None:
                self._spent(planned.channel, time.monotonic() - began)

    def _rendered(self, planned: Planned, facts: Facts, now: Instant) -> Content:
        touch, campaign = planned.touch, planned.touch.campaign
        kind = campaign.kinds[planned.channel]
        address = facts.address(kind, now)
        if address is None and planned.channel != Channel.IN_APP:
            raise RenderError("no_address", "the customer has no usable address on this channel")
        customer = facts.customer
        content = self._contents.content(campaign.key, campaign.version)
        event = {"type": touch.event.type, "time": None, "data": touch.data}
        context: dict[str, Any] = {
            "customer": {"id": customer["id"], "traits": customer["traits"], "locale": customer["locale"]},
            "event": event,
            "campaign": {"key": campaign.key, "name": campaign.document.name},
        }
        if content.reads(planned.channel, "event.time"):
            event["time"] = format_instant(touch.event.time)
        if content.reads(planned.channel, "now"):
            context["now"] = format_instant(now)
        if content.reads(planned.channel, "links"):
            context["links"] = self._links(touch.event.subject, campaign.topic, campaign.cls)
        rendered = content.render(planned.channel, customer["locale"], context)
        to = _normal(planned.channel, touch.event.subject if address is None else address.address)
        return Content(to, rendered.fields, rendered.locale)


def _normal(channel: str, address: str) -> str:
    try:
        return BY_KEY[channel].normalise(address)
    except BadAddress as error:
        raise RenderError("bad_address", str(error)) from None

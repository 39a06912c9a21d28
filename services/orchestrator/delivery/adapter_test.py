"""Sends one test message by an adapter, past all rules: for whoever tries the adapter, no contact, not stored."""

import secrets
from time import monotonic
from typing import Any, Final, NamedTuple

from schemas.adapter_registry import ADAPTER_REGISTRY, Destination
from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.message import HandoverResult, Message
from services.kit.errors import Invalid, NotFound, Problem
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.settings import OrchestratorSettings

TEST_NAME: Final = "tactful-test"
"""Campaign of test messages, and their customer where they go to an address."""
_CLASS: Final = "transactional"
_TEXT: Final = "This is a test message of Tactful."


class AdapterTestOutcome(NamedTuple):
    """What the adapter said, on which channel, where it brings messages, and after how many seconds."""

    channel: str
    destination: Destination
    result: HandoverResult
    seconds: float


class _NoDeadline:
    """Nobody waits for the end of a test: an opt-out does not concern it."""

    def before(self, message_id: str) -> None:
        """May begin."""

    def after(self, message_id: str) -> None:
        """Has begun."""


async def send_test_message(
    adapters: Adapters, settings: OrchestratorSettings, name: str, to: str, channel: str | None
) -> AdapterTestOutcome:
    """Send a test message to an address. `channel`: needed where the adapter serves several.

    Raises NotFound for an adapter that serves nothing, Invalid for a channel or an address that it cannot serve.
    """
    served = [each for each, routes in adapters.routes.items() if name in [route.adapter for route in routes]]
    if not served:
        raise NotFound(f"no adapter `{name[:40]}` serves a channel: use {', '.join(adapters.by_name)}")
    if channel is None and len(served) == 1:
        channel = served[0]
    if channel not in served:
        problem = Problem("/channel", "unknown_channel", f"use {', '.join(served)}")
        raise Invalid(f"say which channel of {name} to test", errors=[problem])
    message = _compose(settings, to, channel)
    started = monotonic()
    (result,) = await adapters.by_name[name].send_batch([message], _NoDeadline())
    destination = ADAPTER_REGISTRY.declarations[adapters.kinds.get(name, name)].destination
    return AdapterTestOutcome(channel, destination, result, monotonic() - started)


def _compose(settings: OrchestratorSettings, to: str, channel: str) -> Message:
    try:
        address = canonical_address(channel, to, settings.region)
    except BadAddress as error:
        problem = Problem("/to", error.code, f"{error.problem}: {error.remedy}")
        raise Invalid("the address cannot be used", errors=[problem]) from None
    links = dict.fromkeys(("unsubscribe", "preferences"), settings.web.public_url)
    customer: dict[str, Any] = {"id": _TEXT, "traits": {}, "locale": None}
    sender = settings.mail.find_sender(_CLASS, None).imprint
    context = {"customer": customer, "event": {"type": _TEXT}, "links": links, "sender": sender}
    definition = CHANNELS_BY_ID[channel]
    content = definition.render(definition.compile_templates(definition.sample_content), context, False)
    id = f"msg_{secrets.token_hex(16)}"
    source = "/tactful/test"
    # Where there is no address, the customer is where the message goes.
    recipient = TEST_NAME if CHANNEL_REGISTRY.declarations[channel].needs_address else address
    return Message(id, recipient, TEST_NAME, 1, channel, _CLASS, address, content, source, id)

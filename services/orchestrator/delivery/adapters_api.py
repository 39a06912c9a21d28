"""HTTP routes of adapters: which there are and whether they can serve, and a test message by one of them."""

from typing import Any

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.adapter_registry import Destination
from schemas.fields import ChannelField, Document, Text
from schemas.message import HandoverFault, HandoverOutcome
from schemas.times import format_instant
from schemas.vocabulary import Channel, Class
from services.kit import errors
from services.kit.db.database import Database
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import document_body
from services.kit.observability.logs import log, redact
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.delivery.adapter_overview import AdapterOverview, AdapterState, load_overviews
from services.orchestrator.delivery.adapter_test import send_test_message
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.settings import OrchestratorSettings

_FIRST = next(iter(CHANNELS_BY_ID))
_EXAMPLES = {"to oneself": {"to": CHANNELS_BY_ID[_FIRST].sample_address, "channel": _FIRST}}


class RouteFields(TypedDict):
    """That an adapter serves a channel: its share, and which messages it is for, where that is said."""

    channel: Channel
    weight: int
    classes: list[Class]
    topics: list[str]
    countries: list[str]
    addresses: list[str]
    """What addresses begin with, where the adapter gets these alone."""


class FailureFields(TypedDict):
    """What the adapter said lately when it did not take messages."""

    outcome: str
    detail: str
    count: int
    last: TimeText


class AdapterFields(TypedDict):
    """An adapter. `state`: what processes that hand over have noted in the last seconds; `serving` if none has noted
    anything, `no_dispatcher` if no process lives that hands over what waits. `until`: when it is tried again, if it
    gets nothing now; `processes`: how many give it nothing.
    `trial_recipients`: in trial mode, how many entries the list of its only recipients has. `waiting`: messages that
    wait for it. `failures`: of the last hour, at most five kinds.
    """

    name: str
    kind: str
    destination: Destination
    channels: list[RouteFields]
    rate: float | None
    state: AdapterState
    until: TimeText | None
    processes: int
    trial_recipients: int | None
    waiting: int
    failures: list[FailureFields]


class AdapterList(TypedDict):
    """All adapters that serve a channel."""

    items: list[AdapterFields]


class AdapterTest(Document):
    """Where a test message goes. `channel`: needed where the adapter serves several."""

    to: Text
    channel: ChannelField | None = None


class AdapterTestResult(TypedDict):
    """What the adapter said of the test message. `destination`: where it goes that has taken it."""

    message_id: str
    channel: Channel
    destination: Destination
    outcome: HandoverOutcome
    fault: HandoverFault | None
    detail: str | None
    provider_id: str | None
    seconds: float


def adapter_routes(database: Database, adapters: Adapters, settings: OrchestratorSettings) -> APIRouter:
    """The routes of `/v1/adapters`."""
    routes = APIRouter(prefix="/v1/adapters", tags=["adapters"])

    @routes.get("", summary="The adapters of all channels, and whether they can serve", **answers({200: AdapterList}))
    async def list_adapters(_: Principal = requires("adapters:read")) -> dict[str, Any]:
        async with database.read() as tx:
            overviews = await load_overviews(tx, adapters, settings, await tx.now())
        return {"items": [_document(each) for each in overviews]}

    @routes.post(
        "/{name}/test",
        summary="Send a test message to yourself, past all rules: it is no contact, and Tactful keeps no copy",
        **answers({200: AdapterTestResult}, errors.NotFound, errors.Invalid),
    )
    async def send_test(
        name: str,
        principal: Principal = requires("adapters:test"),
        wanted: AdapterTest = document_body(AdapterTest, examples=_EXAMPLES),
    ) -> dict[str, Any]:
        tested = await send_test_message(adapters, settings, name, wanted.to, wanted.channel)
        log("adapter_tested", adapter=name, channel=tested.channel, outcome=tested.result.outcome, by=principal.name)
        result = tested.result
        return {
            "message_id": result.message_id,
            "channel": tested.channel,
            "destination": tested.destination,
            "outcome": result.outcome,
            "fault": result.fault,
            "detail": result.detail and redact(result.detail),
            "provider_id": result.provider_id,
            "seconds": round(tested.seconds, 3),
        }

    return routes


def _document(overview: AdapterOverview) -> dict[str, Any]:
    return {
        "name": overview.name,
        "kind": overview.kind,
        "destination": overview.destination,
        "channels": [
            {
                "channel": channel,
                "weight": route.weight,
                "classes": sorted(route.classes),
                "topics": sorted(route.topics),
                "countries": sorted(route.countries),
                "addresses": sorted(route.addresses),
            }
            for channel, route in overview.routes.items()
        ],
        "rate": overview.rate,
        "state": overview.state,
        "until": format_optional_instant(overview.until),
        "processes": overview.processes,
        "trial_recipients": overview.trial_recipients,
        "waiting": overview.waiting,
        "failures": [
            {
                "outcome": each.outcome,
                "detail": each.detail,
                "count": each.times,
                "last": format_instant(each.last),
            }
            for each in overview.failures
        ],
    }

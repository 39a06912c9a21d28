"""Channels and adapters: which adapter serves which channel, whether it can, what waits, and a test message."""

from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.kit.errors import Invalid, NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.sessions import read_form
from services.kit.observability.logs import log, redact
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.delivery.adapter_overview import AdapterOverview, load_overviews
from services.orchestrator.delivery.adapter_test import AdapterTestOutcome, send_test_message

PATH = "/console/adapters"
STATE_WORDS = {
    "serving": "Serves",
    "no_dispatcher": "No process hands over",
    "throttled": "Asked for time",
    "stalled": "Does not answer",
    "failing": "Fails",
    "account": "Refuses the account",
}
STATE_HELP = {
    "serving": "",
    "no_dispatcher": "No process with the role dispatch lives: what waits, or is to be tried again, stays where it is.",
    "throttled": "The provider takes no more for now. Messages go to other adapters of the channel, or wait.",
    "stalled": "Nothing has been answered for some seconds. Messages go to other adapters of the channel, or wait.",
    "failing": "Most attempts failed lately. Messages go to other adapters of the channel, or wait untried.",
    "account": "Key, sender or contract: nothing goes out by it until somebody mends that. No message is lost.",
}
_OUTCOME_WORDS = {
    "rejected": "refused the message.",
    "retry": "did not take the message now.",
    "unknown": "did not answer; nobody knows whether the message arrives.",
}
TAKEN_WORDS = {
    "provider": "has taken the message. Whether it arrives, your own mailbox or telephone says.",
    "customer": "has the message: it is where the customer that you named gets it.",
    "inbox": "has taken the message. You find it in the sandbox inbox; nothing has left this installation.",
    "nowhere": "has thrown the message away, as it does with all: nothing is sent by it.",
}
_TRIAL_WORDS = "is in trial mode, and this recipient is not on its list: nothing was sent."


class TestWords(NamedTuple):
    """What came of a test message, for people."""

    adapter: str
    is_good: bool
    words: str
    detail: str


def adapters_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    async def show(request: Request, principal: Principal, tested: TestWords | None = None) -> Response:
        at = await context.get_wall_clock()
        async with context.database.read() as tx:
            now = await tx.now()
            overviews = await load_overviews(tx, context.adapters, context.settings, now)
        return await renderer.render_page(
            request, principal, "adapters.html", at,
            page="adapters",
            adapters=overviews,
            off=[channel for channel in context.settings.adapters if channel not in context.adapters.routes],
            state_words=STATE_WORDS,
            state_help=STATE_HELP,
            until={each.name: _until_words(each, now, at) for each in overviews},
            tested=tested,
        )  # fmt: skip

    @routes.get(PATH)
    async def list_adapters(request: Request, principal: Principal = requires("adapters:read")) -> Response:
        return await show(request, principal)

    @routes.post(PATH + "/{name}/test")
    async def submit_test(request: Request, name: str, principal: Principal = requires("adapters:test")) -> Response:
        fields = await read_form(request)
        try:
            to, channel = fields.get("to", "").strip(), fields.get("channel") or None
            tested = await send_test_message(context.adapters, context.settings, name, to, channel)
        except (Invalid, NotFound) as error:
            problem = error.errors[0].detail if isinstance(error, Invalid) and error.errors else error.detail
            return await show(request, principal, TestWords(name, False, "was not asked:", problem))
        result = tested.result
        log("adapter_tested", adapter=name, channel=tested.channel, outcome=result.outcome, by=principal.name)
        said = TestWords(name, result.outcome == "accepted", _words_for(tested), redact(result.detail or ""))
        return await show(request, principal, said)

    return routes


def _words_for(tested: AdapterTestOutcome) -> str:
    """What came of a test message."""
    if tested.result.fault == "trial":
        return _TRIAL_WORDS
    if tested.result.outcome == "accepted":
        return TAKEN_WORDS[tested.destination]
    return _OUTCOME_WORDS[tested.result.outcome]


def _until_words(overview: AdapterOverview, now: int, at: WallClock) -> str:
    """When an adapter that gets nothing is tried again; by the database's clock, which also says `now`."""
    if overview.until is None:
        return ""
    seconds = max(-(-(overview.until - now) // 1_000_000), 0)
    return f"Tried again in {seconds} s." if seconds else "Being tried again."

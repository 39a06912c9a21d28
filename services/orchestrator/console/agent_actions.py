"""The buttons of the page for agents: pause, opt out, situations, addresses, messages.

Each is a form that works without script. A refusal is a page that says why; otherwise the customer's page follows and
says what is in force now.
"""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.agent_api import (
    ChangeAnswer,
    ChangePreferencesRequest,
    ChangeSituationRequest,
    ReplacedAddress,
)
from schemas.times import DAY, format_instant
from services.kit.errors import Invalid, WrongState
from services.kit.http.audit_trail import note_reason
from services.kit.http.auth import Principal, requires
from services.kit.http.sessions import read_form
from services.orchestrator.console.agent_lookup_page import CUSTOMER_PATH, SERVE, agent_customer_link, check_reason
from services.orchestrator.console.agent_notices import LATE
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.policy.time_zones import Zone

MAX_ADDRESS: Final = 2048
_ONCE: Final = re.compile(r"[0-9a-f]{32}")
"""What a form for a message holds, so that a button that is pressed twice sends once."""
MAX_REF: Final = 100
MAX_DAYS: Final = 365
Customer = Annotated[str, Query(min_length=1, max_length=1024)]


def agent_action_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the buttons."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    _add_preference_routes(routes, context)
    _add_situation_route(routes, context)

    @routes.post(CUSTOMER_PATH + "/message")
    async def send_agent_message(
        request: Request, customer: Customer, principal: Principal = requires(SERVE)
    ) -> Response:
        fields = await read_form(request)
        once = fields.get("once", "")
        if not _ONCE.fullmatch(once):
            raise Invalid("load the page again: this form does not say which message it is")
        sent = await context.agent_messages.send(customer, fields.get("campaign", ""), principal, once)
        return RedirectResponse(agent_customer_link(customer, event=sent.event_id), 303)

    return routes


def _add_preference_routes(routes: APIRouter, context: ConsoleContext) -> None:
    async def change(request: ChangePreferencesRequest, done: str) -> Response:
        return _answer(request.customer, await context.preference.change_preferences(request), done)

    @routes.post(CUSTOMER_PATH + "/pause")
    async def pause_customer(request: Request, customer: Customer, principal: Principal = requires(SERVE)) -> Response:
        days = (await read_form(request)).get("days", "")
        if not (days.isascii() and days.isdigit() and 0 <= int(days[:4]) <= MAX_DAYS):
            raise Invalid(f"choose a number of days from 1 to {MAX_DAYS}, or 0 to end the pause")
        until = format_instant(context.clock.now() + int(days) * DAY) if int(days) else None
        asked = ChangePreferencesRequest(customer, principal.name, {"paused_until": until})
        return await change(asked, "pause")

    @routes.post(CUSTOMER_PATH + "/opt-out")
    async def opt_customer_out(
        request: Request, customer: Customer, principal: Principal = requires(SERVE)
    ) -> Response:
        field, _, value = (await read_form(request)).get("what", "").partition(":")
        if field not in ("class", "channel", "topic") or not value:
            raise Invalid("choose what the customer no longer wants")
        return await change(ChangePreferencesRequest(customer, principal.name, opt_out={field: value}), "opt-out")

    @routes.post(CUSTOMER_PATH + "/address")
    async def correct_address(request: Request, customer: Customer, principal: Principal = requires(SERVE)) -> Response:
        fields = await read_form(request)
        index, version, address = (fields.get(name, "").strip() for name in ("index", "version", "address"))
        if not address or len(address) > MAX_ADDRESS:
            raise Invalid(f"type the address as it should be, in at most {MAX_ADDRESS} characters")
        if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in (index, version)):
            raise Invalid("load the page again: it does not say which address is meant")
        replaced = ReplacedAddress(int(index), address)
        asked = ChangePreferencesRequest(customer, principal.name, replaced=replaced, expected=int(version))
        return await change(asked, "address")


def _add_situation_route(routes: APIRouter, context: ConsoleContext) -> None:
    @routes.post(CUSTOMER_PATH + "/situation")
    async def change_customer_situation(
        request: Request, customer: Customer, principal: Principal = requires(SERVE)
    ) -> Response:
        fields = await read_form(request)
        reason = " ".join(fields.get("reason", "").split())
        if not reason:
            raise Invalid("say why: whoever reads the history later must understand it")
        note_reason(check_reason(reason, customer))
        document: dict[str, Any] = {
            "action": fields.get("action", ""),
            "kind": fields.get("kind", ""),
            "ref": _read_ref(fields),
            "reason": reason,
        }
        if document["action"] == "correct":
            zone = (await context.load_facts(customer)).calendar_zone
            times = {name: read_wall_time(fields.get(name, ""), zone, name) for name in ("opened", "closed")}
            document |= {name: format_instant(t) for name, t in times.items() if t is not None}
        answer = await context.suppression.change_situation(ChangeSituationRequest(customer, document, principal.name))
        return _answer(customer, answer, "situation")


def _answer(customer: str, answer: ChangeAnswer, done: str) -> Response:
    if answer.problem is not None:
        raise WrongState(answer.problem)
    return RedirectResponse(agent_customer_link(customer, done=done if answer.in_force else LATE), 303)


def _read_ref(fields: dict[str, str]) -> Any:
    """What the situation is about: as text from a person, as canonical JSON (`known_ref`) from the page itself."""
    known, typed = fields.get("known_ref", ""), fields.get("ref", "").strip()
    if known:
        try:
            return json.loads(known)
        except ValueError:
            raise Invalid("this situation cannot be changed here: its reference is kept as a hash") from None
    if len(typed) > MAX_REF or not typed.isprintable():
        raise Invalid(f"the reference has at most {MAX_REF} printable characters")
    return typed or None


def read_wall_time(text: str, zone: Zone, name: str) -> int | None:
    """The instant of `2026-03-02T10:00` on the wall clock of a zone; None for an empty field. Raises Invalid."""
    if not text.strip():
        return None
    try:
        wall = datetime.strptime(text.strip()[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(f"`{name}` is not a day and time such as 2026-03-02T10:00") from None
    micros = int(wall.timestamp()) * 1_000_000
    return zone.first_at_wall_time(micros - 2 * DAY, micros)

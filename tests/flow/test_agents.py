"""An agent on the phone: looks a customer up, sees what holds, changes it, and the next decisions obey."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas.roles import Role
from schemas.times import DAY, HOUR
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

ORIGIN = "http://tactful"
PAGE = "/console/agent/customer"
COMPLAINTS = {
    "kind": "complaint",
    "opens": [{"event": "shop.complaint.filed"}],
    "closes": [{"event": "shop.complaint.resolved"}],
    "ref": "data.case",
    "lapses": "90d",
}
ASKS = {
    "id": "no-ask-after-complaint",
    "scope": {"intents": ["ask_feedback", "ask_review", "ask_referral"]},
    "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
    "on_match": "drop",
}
ASK = {"name": "Ask for a review", "intent": "ask_review"}
APOLOGY = {"name": "Apology", "class": "service", "intent": "apologise", "trigger": {"event": "tactful.agent.message"}}
BY_SMS = {"channels": ["sms"], "class": "service", "content": {"sms": {"en": {"text": "Hello"}}}}
PHONE = {"channel": "sms", "address": "+4915112345678", "verified": True}
MAIL = {"channel": "email", "address": "c-1@example.org", "verified": True}


class Agent:
    """A browser in which an agent has signed in."""

    def __init__(self, product: Live, browser: httpx.AsyncClient) -> None:
        self.product = product
        self.browser = browser
        self.csrf = ""
        self.once = ""

    async def sign_in(self, name: str = "mia", role: Role = Role.AGENT) -> None:
        """Begin a session, of 12 hours."""
        token = await self.product.together.orchestrator.sign_in.issue_token(name, role)
        answer = await self.browser.post("/console/sign-in", data={"token": token}, headers={"origin": ORIGIN})
        assert answer.status_code == 303

    async def get(self, path: str) -> str:
        """The text of a page, without its tags."""
        answer = await self.browser.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, words_of(answer.text)
        once = re.search(r'name="once" value="([0-9a-f]{32})"', answer.text)
        self.once = self.once if once is None else once[1]
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', answer.text)
        self.csrf = self.csrf if found is None else found[1]
        return words_of(answer.text)

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the page."""
        return await self.browser.post(
            path, data={"csrf": self.csrf, "once": self.once, **fields}, headers={"origin": ORIGIN}
        )

    async def do(self, action_path: str, **fields: str) -> str:
        """Press a button of the page about the customer, and read what follows."""
        answer = await self.send(f"{PAGE}/{action_path}?customer=c-1", **fields)
        assert answer.status_code == 303, words_of(answer.text)
        return await self.get(answer.headers["location"])


def words_of(page: str) -> str:
    """What a page says."""
    main = (page.partition("<main")[2] or page).partition("</main")[0]
    return re.sub(r" ([.,:;])", r"\1", " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split()))


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    """A shop that asks for reviews, writes SMS, and lets agents apologise."""
    async with live(tmp_path, MONDAY, agents={"messages_per_day": 2}) as running:
        await running.policy(policy(situations=[COMPLAINTS], contact_history=[ASKS]))
        await running.campaign(campaign("ask", **ASK))
        await running.campaign(campaign("text", **BY_SMS))
        await running.campaign(campaign("offer"))
        await running.campaign(campaign("apology", **APOLOGY))
        await running.customer(customer("c-1", addresses=[MAIL, PHONE]))
        await running.customer(customer("c-2", traits={"name": "Ben"}))
        yield running


@pytest.fixture
async def agent(product: Live) -> AsyncIterator[Agent]:
    """Mia, an agent, in her browser."""
    transport = httpx.ASGITransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as browser:
        mia = Agent(product, browser)
        await mia.sign_in()
        yield mia


async def outcome(product: Live, kind: str, id: str, **data: Any) -> tuple[str, str]:
    """What is decided on an event of now."""
    item = await product.send(event(f"shop.{kind}", id, product.clock.now(), **data))
    (decision,) = item["decisions"]
    return decision["outcome"], decision["reason"]


async def test_an_agent_serves_a_customer_and_the_next_decisions_obey(product: Live, agent: Agent) -> None:
    await product.send(event("shop.complaint.filed", "e-1", case="A-7"))
    assert await outcome(product, "ask", "e-2") == ("suppress", "contact_history")
    await agent.get("/console/agent")
    found = await agent.send("/console/agent", text="C-1@Example.org", reason="ticket 12")
    assert found.headers["location"] == f"{PAGE}?customer=c-1"
    page = await agent.get(found.headers["location"])
    assert "Complaint A-7 open" in page
    assert "No asks while a complaint is open; if it were closed now, until Wed 1 Apr, 10:00." in page
    assert "Ask for a review Mon 2 Mar, 10:00: An ask is not allowed: the complaint opened on" in page

    page = await agent.do("opt-out", what="channel:sms")
    assert "Opted out of, in force now: messages by SMS." in page
    assert await outcome(product, "text", "e-3") == ("suppress", "opted_out_channel")

    await product.at(MONDAY + HOUR)
    page = await agent.do("situation", action="close", kind="complaint", known_ref='"A-7"', reason="replaced")
    assert "Last change: Complaint A-7 closed Mon 2 Mar, 11:00, by mia: replaced" in page
    assert "No asks until Wed 1 Apr, 11:00." in page
    assert await outcome(product, "ask", "e-4") == ("suppress", "contact_history")

    assert "It would go out now, by e-mail." in page and "2 of 2 left today" in page
    page = await agent.do("message", campaign="apology")
    assert "All rules allow it: it goes out by e-mail." in page and "1 of 2 left today" in page
    await product.settle()
    assert [each["campaign"] for each in await product.inbox(customer="c-1")] == ["apology"]
    assert "An agent chose it." in await agent.get(f"{PAGE}?customer=c-1")

    page = await agent.do("pause", days="30")
    assert "Paused until Wed 1 Apr, 11:00. It is in force now." in page
    assert await outcome(product, "offer", "e-5") == ("suppress", "paused")
    page = await agent.do("message", campaign="apology")
    assert "Not sent, allowed from Wednesday 1 April, 11:00" in page and "It does not count." in page
    assert "1 of 2 left today" in page

    await product.at(MONDAY + 30 * DAY + 2 * HOUR)
    await agent.sign_in()
    assert "No asks" not in await agent.get(f"{PAGE}?customer=c-1")
    assert await outcome(product, "ask", "e-6") == ("send", "eligible")


async def test_an_auditor_sees_who_looked_whom_up_and_why(product: Live, agent: Agent) -> None:
    await agent.get("/console/agent")
    await agent.send("/console/agent", text="Ben", reason="ticket 77")
    await agent.get(f"{PAGE}?customer=c-2")
    query = {"customer": "c-2"}
    found = [
        msgspec.json.decode(item["body"]) for item in (await product.ask("GET", "/v1/audit-log", params=query))["items"]
    ]
    look_up, look, *_ = [each for each in found if each["name"] == "mia"]
    assert (look_up["event"], look_up["status"], look_up["reason"]) == ("answered", 303, "ticket 77")
    assert (look["event"], look["route"], look["action"]) == ("asked", PAGE, "customers:serve")
    assert look["about"] == look_up["about"]
    mine = (await product.ask("GET", "/v1/audit-log", params={"by": "mia"}))["items"]
    assert {msgspec.json.decode(item["body"])["name"] for item in mine} == {"mia"}
    assert not (await product.ask("GET", "/v1/audit-log", params={"by": "MIA"}))["items"]
    assert not (await product.ask("GET", "/v1/audit-log", params={"by": "mia", "customer": "c-1"}))["items"]
    assert "Ben" not in str(mine)


@pytest.mark.parametrize("reason", ["asked for ben again", "wrote from x@example.org", "r" * 101])
async def test_a_reason_says_nothing_of_the_person(agent: Agent, reason: str) -> None:
    await agent.get("/console/agent")
    assert (await agent.send("/console/agent", text="Ben", reason=reason)).status_code == 422


async def test_an_agent_sees_no_list(product: Live, agent: Agent) -> None:
    for number in range(6):
        await product.customer(customer(f"same-{number}", traits={"name": "Kim"}))
    home = await agent.browser.get("/console/", headers={"accept": "text/html"})
    assert (home.status_code, home.headers["location"]) == (303, "/console/agent")
    for path in ("/console/customers", "/console/decisions", "/console/inbox"):
        assert (await agent.browser.get(path)).status_code == 403
    await agent.get("/console/agent")
    page = words_of((await agent.send("/console/agent", text="Kim")).text)
    assert "Too many customers have this name" in page and "same-" not in page
    assert "same-" not in words_of((await agent.send("/console/find", q="Kim")).text)
    key = (await product.ask("POST", "/v1/keys", {"name": "desk", "role": "agent"}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    for path in ("/v1/decisions", "/v1/messages", "/v1/sandbox/messages", "/v1/suppressions", "/v1/messages?customer="):
        assert (await product.editor.get(path, headers=headers)).status_code == 403, path
        named = path.partition("?")[0] + "?customer=c-1"
        assert (await product.editor.get(named, headers=headers)).status_code == 200, named


async def test_times_are_corrected_and_a_wrong_opening_is_taken_back(product: Live, agent: Agent) -> None:
    await product.at(MONDAY + 2 * DAY)
    await agent.sign_in()
    await agent.get(f"{PAGE}?customer=c-1")
    page = await agent.do("situation", action="open", kind="complaint", ref="B-1", reason="called")
    assert "Complaint B-1 opened Wed 4 Mar, 10:00, by mia: called" in page
    known = {"kind": "complaint", "known_ref": '"B-1"'}
    page = await agent.do("situation", action="correct", opened="2026-03-03T08:30", reason="it began earlier", **known)
    assert "Open since Tue 3 Mar, 08:30" in page and "corrected: opened Tue 3 Mar, 08:30, by mia" in page
    assert await outcome(product, "ask", "e-1") == ("suppress", "contact_history")
    page = await agent.do("situation", action="withdraw", reason="wrong customer", **known)
    assert "Complaint B-1 taken back, by mia: wrong customer" in page and "No asks" not in page
    assert await outcome(product, "ask", "e-2") == ("send", "eligible")
    refused = await agent.send(f"{PAGE}/situation?customer=c-1", action="withdraw", reason="again", **known)
    assert refused.status_code == 409 and "no situation of this kind" in words_of(refused.text)
    history = (await product.ask("GET", "/v1/situations/c-1"))["items"]
    assert [each["action"] for each in history] == ["withdrawn", "corrected", "opened"]
    assert {each["by"] for each in history} == {"mia"}


async def test_what_waits_for_a_case_goes_out_once_it_is_taken_back(product: Live, agent: Agent) -> None:
    waits = {**ASKS, "on_match": "defer", "never": {**ASKS["never"], "within": "1m"}}  # type: ignore[dict-item]
    await product.policy(policy(situations=[COMPLAINTS], contact_history=[waits]))
    await product.send(event("shop.complaint.filed", "e-1", case="A-7"))
    patient = {"class": "service", "ttl": "30d", "trigger": {"event": "shop.patient"}}
    await product.campaign(campaign("patient", **{**ASK, **patient}))
    assert (await outcome(product, "patient", "e-2"))[0] == "defer"
    page = await agent.get(f"{PAGE}?customer=c-1")
    assert "Ask for a review held" in page and "No asks (they wait) while a complaint is open" in page
    await agent.do("situation", action="withdraw", kind="complaint", known_ref='"A-7"', reason="wrong customer")
    await product.settle()
    assert [each["campaign"] for each in await product.inbox(customer="c-1")] == ["patient"]
    assert "It answers the event shop.patient of Mon 2 Mar, 10:00." in await agent.get(f"{PAGE}?customer=c-1")


async def test_a_corrected_address_is_used_and_not_verified(product: Live, agent: Agent) -> None:
    page = (await agent.browser.get(f"{PAGE}?customer=c-1")).text
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    await agent.get(f"{PAGE}?customer=c-1")
    shown = await agent.do("address", index="0", version=version[1], address="ada@example.net")
    assert "one that was corrected is not verified" in shown and "ada@example.net not verified" in shown
    again = await agent.send(f"{PAGE}/address?customer=c-1", index="0", version=version[1], address="b@example.net")
    assert again.status_code == 409
    known = await product.ask("GET", "/v1/preferences/c-1")
    assert [each["address"] for each in known["addresses"]] == ["ada@example.net", PHONE["address"]]
    await agent.do("message", campaign="apology")
    await product.settle()
    assert [each["to"] for each in await product.inbox(customer="c-1")] == ["ada@example.net"]


async def test_the_budget_of_an_agent_ends_and_comes_back_the_next_day(product: Live, agent: Agent) -> None:
    await agent.get(f"{PAGE}?customer=c-1")
    for left in (1, 0):
        assert f"{left} of 2 left today" in await agent.do("message", campaign="apology")
    over = await agent.send(f"{PAGE}/message?customer=c-2", campaign="apology")
    assert over.status_code == 409 and "all that an agent may send a day" in words_of(over.text)
    assert (await agent.send(f"{PAGE}/message?customer=c-2", campaign="offer")).status_code == 404
    await product.at(MONDAY + DAY)
    await agent.sign_in()
    assert "2 of 2 left today" in await agent.get(f"{PAGE}?customer=c-2")


async def test_a_button_that_is_pressed_twice_sends_once(product: Live, agent: Agent) -> None:
    await agent.get(f"{PAGE}?customer=c-1")
    for _ in range(3):
        assert (await agent.send(f"{PAGE}/message?customer=c-1", campaign="apology")).status_code == 303
    assert len(await product.decisions(customer="c-1")) == 1
    assert "1 of 2 left today" in await agent.get(f"{PAGE}?customer=c-1")
    assert (await agent.send(f"{PAGE}/message?customer=c-1", campaign="apology", once="x")).status_code == 422


async def test_a_campaign_for_agents_is_started_by_them_alone(product: Live, agent: Agent) -> None:
    body = event("tactful.agent.message", "x-1", campaign="apology")
    key = (await product.ask("POST", "/v1/keys", {"name": "desk", "role": "agent"}))["key"]
    headers = {"Authorization": f"Bearer {key}", "content-type": "application/cloudevents+json"}
    assert (await product.editor.post("/v1/events", json=body, headers=headers)).status_code == 403
    await product.campaign(campaign("sorry-again", **APOLOGY))
    await agent.get(f"{PAGE}?customer=c-1")
    await agent.do("message", campaign="apology")
    assert {each["campaign"] for each in await product.decisions(customer="c-1")} == {"apology"}


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.AGENT, Role.ADMIN)])
async def test_no_other_role_serves_customers(product: Live, agent: Agent, role: Role) -> None:
    await agent.sign_in("zoe", role)
    assert (await agent.browser.get(f"{PAGE}?customer=c-1")).status_code == 403


async def test_a_form_of_another_site_does_nothing(product: Live, agent: Agent) -> None:
    await agent.get(f"{PAGE}?customer=c-1")
    path = f"{PAGE}/pause?customer=c-1"
    forged = await agent.browser.post(path, data={"csrf": "0" * 64, "days": "30"}, headers={"origin": ORIGIN})
    foreign = await agent.browser.post(path, data={"csrf": agent.csrf, "days": "30"}, headers={"origin": "http://x"})
    assert (forged.status_code, foreign.status_code) == (403, 403)
    assert (await product.ask("GET", "/v1/preferences/c-1"))["paused_until"] is None

"""Races between an event and an opt-out: after a 200 no handover in its scope starts, whichever way it came.

The provider notes when a request reached it, the test when the answer reached us, both on the machine's one clock.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from schemas.times import format_instant
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.standard_webhooks import sign, signing_key
from tests.support.centre_form import CentreFormFiller, press
from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Sent, Shop
from tests.support.seed_documents import NEWS, TEXTED, Api, phone_of, with_phone
from tests.support.service_processes import ADMIN_KEY, SECRET

FAR = "2099-01-01T00:00:00Z"


@dataclass(frozen=True)
class Answer:
    """What an opt-out was told, and when (nanoseconds of the machine's monotonic clock)."""

    way: str
    customer: str
    status: int
    at: int


@dataclass(frozen=True)
class OptOutClients:
    """The services as an administrator, as an agent and as a customer meet them."""

    preference: httpx.AsyncClient
    suppression: httpx.AsyncClient
    orchestrator: httpx.AsyncClient
    agent: httpx.AsyncClient
    public: httpx.AsyncClient
    """The pages of preference, without a key."""

    async def path_of(self, link: str, name: str) -> str:
        """The path of a link of the customer: `preferences` or `unsubscribe`."""
        made = await self.preference.post(f"/v1/preferences/{name}/links", json={"topic": "news"})
        return str(urlsplit(made.json()[link]).path)


Prepared = Callable[[], Awaitable[httpx.Response]]
"""Says no: one request, for which everything else is ready."""


async def _by_api(clients: OptOutClients, name: str) -> Prepared:
    return partial(clients.preference.post, f"/v1/preferences/{name}/optout", json={"class": "marketing"})


async def _by_agent(clients: OptOutClients, name: str) -> Prepared:
    return partial(clients.agent.post, f"/v1/preferences/{name}/optout", json={"topic": "news"})


async def _by_pause(clients: OptOutClients, name: str) -> Prepared:
    return partial(clients.preference.patch, f"/v1/preferences/{name}", json={"paused_until": FAR})


async def _by_entry(clients: OptOutClients, name: str) -> Prepared:
    return partial(clients.suppression.post, "/v1/suppressions", json={"customer": name, "reason": "manual"})


async def _by_address(clients: OptOutClients, name: str) -> Prepared:
    entry = {"address": f"device-of-{name}", "scope": {"channel": "push"}, "reason": "manual"}
    return partial(clients.suppression.post, "/v1/suppressions", json=entry)


async def _by_hold(clients: OptOutClients, name: str) -> Prepared:
    hold = {"key": f"hold-{name}", "mode": "drop", "scope": {"trait": {"name": name}}, "reason": "tests"}
    return partial(clients.suppression.post, "/v1/holds", json=hold)


async def _by_one_click(clients: OptOutClients, name: str) -> Prepared:
    """As the button of a mail program (RFC 8058)."""
    path = await clients.path_of("unsubscribe", name)
    return partial(clients.public.post, path, data={"List-Unsubscribe": "One-Click"})


async def _by_page(clients: OptOutClients, name: str) -> Prepared:
    """The button of the preference centre that stops all marketing."""
    path = await clients.path_of("preferences", name)
    form = CentreFormFiller((await clients.public.get(path)).text)
    return partial(press, clients.public, path, "stop", form["version"])


async def _by_reply(clients: OptOutClients, name: str, *, text: str) -> Prepared:
    """To a text message."""

    async def reply() -> httpx.Response:
        now = SystemClock().now()
        said = {"id": f"reply-{name}", "channel": "sms", "address": phone_of(name), "text": text}
        content = json.dumps({"replies": [{**said, "at": format_instant(now)}]}).encode()
        seconds = now // 1_000_000
        headers = {
            "webhook-id": f"reply-{name}",
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(signing_key(SecretStr(SECRET)), f"reply-{name}", seconds, content),
        }
        return await clients.orchestrator.post("/v1/receipts/webhook", content=content, headers=headers)

    return reply


OPT_OUT_WAYS: Mapping[str, Callable[[OptOutClients, str], Awaitable[Prepared]]] = {
    "API": _by_api,
    "agent": _by_agent,
    "pause": _by_pause,
    "do-not-contact entry": _by_entry,
    "address": _by_address,
    "hold": _by_hold,
    "one click": _by_one_click,
    "page": _by_page,
    "STOP": partial(_by_reply, text="STOP"),
    "reply held for a person": partial(_by_reply, text="please stop"),
}
"""All ways to say no whose answer says that it is in force. One in an event is obeyed once the event is read."""
BY_TEXT = ("STOP", "reply held for a person")
"""Ways that forbid text messages, so that one races them. They answer a first one."""


@asynccontextmanager
async def _clients(world: Installation) -> AsyncIterator[OptOutClients]:
    agent = Api(world.cluster.orchestrator).call("POST", "/v1/keys", json={"name": "an-agent", "role": "agent"})
    preference, suppression = world.cluster["preference"].url, world.cluster["suppression"].url

    def client(url: str, key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)

    async with (
        client(preference, ADMIN_KEY) as by_admin,
        client(suppression, ADMIN_KEY) as of_suppression,
        client(world.cluster.orchestrator, None) as orchestrator,
        client(preference, agent.json()["key"]) as by_agent,
        client(preference, None) as public,
    ):
        yield OptOutClients(by_admin, of_suppression, orchestrator, by_agent, public)


async def races(
    world: Installation, shop: Shop, names: Sequence[str], at_once: int, dice: random.Random
) -> list[Answer]:
    """Run one race for each customer, `at_once` at a time, over the ways to opt out in turn."""
    ways, some = [*OPT_OUT_WAYS], asyncio.Semaphore(at_once)
    pace = Pace(world, dice)
    async with _clients(world) as clients:
        texted = [name for number, name in enumerate(names) if ways[number % len(ways)] in BY_TEXT]
        await _send_first_texts(world, shop, clients, texted)

        async def one(number: int, name: str) -> Answer:
            async with some:
                answer = await _race(shop, clients, ways[number % len(ways)], name, pace.draw())
                pace.learn(answer)
                return answer

        answers = list(await asyncio.gather(*(one(number, name) for number, name in enumerate(names))))
    decide_replies(world)
    return answers


def decide_replies(world: Installation) -> None:
    """What a person does at last with replies that were held: they were meant as they were said."""
    person = world.api()
    while waiting := person.call("GET", "/v1/replies", params={"state": "undecided"}).json()["items"]:
        for reply in waiting:
            person.call("POST", f"/v1/replies/{reply['id']}/decision", json={"decision": "stop"})


async def _send_first_texts(world: Installation, shop: Shop, clients: OptOutClients, names: Sequence[str]) -> None:
    """Give these customers a number, and a text message to answer."""
    for name in names:
        known = await clients.preference.patch(f"/v1/preferences/{name}", json=with_phone(name))
        assert known.status_code in (200, 202), known.text
        await shop.send(Sent(f"first-{name}", TEXTED, name, {"n": 0}))
    async with asyncio.timeout(60):
        while not {*names} <= {receipt.customer for receipt in receipts(world.cluster.receipts)}:
            await asyncio.sleep(0.2)


class Pace:
    """How long a race waits with its opt-out: so that about every second message has gone by then, on a quiet machine
    and on a busy one.
    """

    def __init__(self, world: Installation, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self._mean = 0.75

    def draw(self) -> float:
        """Seconds."""
        return 2 * self._dice.random() * self._mean

    def learn(self, answer: Answer) -> None:
        """Wait for less from now on if the message had gone, else for longer."""
        change = 0.9 if told(self._world, [answer])[answer.way, True] else 1.1
        self._mean = min(max(self._mean * change, 0.02), 5.0)


async def _race(shop: Shop, clients: OptOutClients, way: str, name: str, wait: float) -> Answer:
    say_no = await OPT_OUT_WAYS[way](clients, name)
    sending = asyncio.create_task(shop.send(Sent(f"news-{name}", TEXTED if way in BY_TEXT else NEWS, name, {"n": 1})))
    await asyncio.sleep(wait)
    answer = await say_no()
    at = time.monotonic_ns()
    assert answer.status_code in (200, 201, 202), f"{way}: {answer.status_code} {answer.text}"
    await sending
    return Answer(way, name, answer.status_code, at)


def started_after(world: Installation, answers: Sequence[Answer]) -> list[str]:
    """Receipts that a 200 had ruled out."""
    enforced = {answer.customer: answer for answer in answers if answer.status != 202}
    return [
        f"{receipt.id} reached the provider {(receipt.started - answer.at) / 1e9:.3f} s after {answer}"
        for receipt in receipts(world.cluster.receipts)
        if (answer := enforced.get(receipt.customer)) and receipt.started > answer.at
    ]


def told(world: Installation, answers: Sequence[Answer]) -> Counter[tuple[str, bool]]:
    """How many races of each way were lost and won: (way, whether the message had gone)."""
    sent = Counter(receipt.customer for receipt in receipts(world.cluster.receipts))
    return Counter((answer.way, sent[answer.customer] > (answer.way in BY_TEXT)) for answer in answers)

"""The demo: an imaginary shop with its campaigns, its policy, its customers, and events that trickle in.

Everything goes through the public doors, and it runs only where delivery is the sandbox, so nothing of it can leave
the machine.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Body

from schemas.documents import load
from schemas.times import format_instant
from services.development.all_services import Embedded
from services.development.imaginary_shop import Days, Happening, people
from services.kit.errors import Conflict, Invalid, Problem
from services.kit.http.auth import Principal, requires
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import ManualClock

EXAMPLES = Path(__file__).parents[2] / "examples"
HARMLESS = frozenset({"sandbox", "off"})
CUSTOMERS = 200
"""Those of `examples/`, and as many more as are made up."""
EVERY = 2.0
"""Seconds between events."""
YOURS = frozenset({"ada", "bruno"})
"""Nothing happens to these customers by itself, so that what the README shows is what you see."""
SOURCE = "/demo/shop"
BATCH = "application/cloudevents-batch+json"


class Demo:
    """Seeds what is missing, and keeps it moving."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._days = Days()
        self._sent = 0
        self._turn = asyncio.Lock()
        self._trickle: asyncio.Task[None] | None = None
        transport = httpx.ASGITransport(app=embedded.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://tactful", timeout=60)

    @property
    def running(self) -> bool:
        """Whether events trickle in."""
        return self._trickle is not None and not self._trickle.done()

    def state(self) -> dict[str, object]:
        """What `GET /v1/dev/demo` answers."""
        still = isinstance(self._embedded.clock, ManualClock)
        return {"running": self.running, "clock": "stands still" if still else "runs", "customers": CUSTOMERS}

    async def start(self) -> None:
        """Seed what is missing; then events trickle in, unless the clock stands still.

        Raises Conflict where delivery is not the sandbox.
        """
        refuse_delivery(self._embedded.settings.adapters)
        async with self._turn:
            if self.running:
                return
            fresh = await self._seed_rules()
            customers = await self._seed_customers()
            if not isinstance(self._embedded.clock, ManualClock):
                others = [each for each in customers if each not in YOURS]
                self._trickle = asyncio.create_task(self._go_on(others, opening=fresh))

    async def stop(self) -> None:
        """No event comes any more; what is there stays."""
        async with self._turn:
            if self._trickle is not None:
                self._trickle.cancel()
                await asyncio.gather(self._trickle, return_exceptions=True)
                self._trickle = None

    async def play(self) -> None:
        """Start; a failure is told in the log, since nobody waits for the answer."""
        try:
            await self.start()
        except httpx.HTTPError as error:
            log_error("demo_ended", error)

    async def _seed_rules(self) -> bool:
        """Lead the policy and the campaigns of `examples/` through their lives. Whether there was no policy."""
        fresh = not await self._known("/v1/policy")
        if fresh:
            version = (await self._ask("PUT", "/v1/policy", load((EXAMPLES / "policy.yaml").read_text())))["version"]
            await self._lead(f"/v1/policy/versions/{version}")
        for path in sorted((EXAMPLES / "campaigns").glob("*.yaml")):
            campaign = load(path.read_text())
            where = f"/v1/campaigns/{campaign['key']}"
            if not await self._known(where):
                await self._ask("PUT", where, campaign)
                await self._lead(where)
        return fresh

    async def _seed_customers(self) -> list[str]:
        """Register the customers, unless the last one is known. Returns them all."""
        written = _lines("customers")
        made_up = list(people(CUSTOMERS - len(written)))
        if not await self._known(f"/v1/preferences/{made_up[-1]['customer']}"):
            for person in written:
                await self._ask("PUT", f"/v1/preferences/{person['customer']}", person)
            await self._ask("POST", "/v1/suppressions", _lines("suppressions"))
            await self._send([Happening(p["customer"], "tactful.preference.changed", _changes(p)) for p in made_up])
            log("demo_seeded", customers=CUSTOMERS)
        return [person["customer"] for person in (*written, *made_up)]

    async def _go_on(self, customers: Sequence[str], opening: bool) -> None:
        if opening:
            await self._send(self._days.opening(customers))
        while True:
            try:
                await self._send([self._days.next(customers)])
            except httpx.HTTPError as error:
                log_error("demo_event_refused", error)
            await asyncio.sleep(EVERY)

    async def _send(self, happenings: Iterable[Happening]) -> None:
        await self._ask("POST", "/v1/events", [self._event(each) for each in happenings], kind=BATCH)

    def _event(self, happening: Happening) -> dict[str, Any]:
        self._sent += 1
        now = self._embedded.clock.now()
        return {
            "specversion": "1.0",
            "id": f"demo-{now}-{self._sent}",
            "source": SOURCE,
            "type": happening.kind,
            "subject": happening.customer,
            "time": format_instant(now),
            "data": happening.data,
        }

    async def _lead(self, path: str) -> None:
        await self._ask("POST", f"{path}/submit")
        await self._ask("POST", f"{path}/approve", by="reviewer")
        await self._ask("POST", f"{path}/activate")

    async def _known(self, path: str) -> bool:
        return await self._ask("GET", path, missing=True) is not None

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "admin",
        kind: str = "application/json",
        missing: bool = False,
    ) -> Any:
        """The JSON of the answer; None for a 404 with `missing`. Raises httpx.HTTPStatusError for another error."""
        headers = {"authorization": f"Bearer {self._embedded.keys[by]}"} | ({"content-type": kind} if body else {})
        response = await self._client.request(method, path, json=body, headers=headers)
        if missing and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.is_error:
            log("demo_refused", level="error", path=path, status=response.status_code)
            response.raise_for_status()
        return response.json()


def refuse_delivery(adapters: Mapping[str, str]) -> None:
    """Raise Conflict where an adapter could send something."""
    for channel, adapter in adapters.items():
        if adapter not in HARMLESS:
            raise Conflict(
                f"the demo runs in the sandbox alone, and TACTFUL_ADAPTERS__{channel.upper()} is `{adapter}`:"
                " unset it, or go without the demo (--no-demo)",
                code="not_sandbox",
            )


def router(demo: Demo) -> APIRouter:
    """`GET` and `POST /v1/dev/demo`: `{"action": "start"}` or `{"action": "stop"}`."""
    routes = APIRouter(prefix="/v1/dev", tags=["development"])

    @routes.get("/demo", summary="Whether events of the demo shop trickle in")
    async def show(_: Principal = requires("demo:read")) -> dict[str, object]:
        return demo.state()

    @routes.post("/demo", summary="Start or stop the demo shop; answers when its customers are there")
    async def act(body: Annotated[dict[str, Any], Body()], _: Principal = requires("demo:write")) -> dict[str, object]:
        match body:
            case {"action": "start", **rest} if not rest:
                await demo.start()
            case {"action": "stop", **rest} if not rest:
                await demo.stop()
            case _:
                detail = 'give {"action": "start"} or {"action": "stop"}'
                raise Invalid(detail, errors=[Problem("/action", "invalid", detail)])
        return demo.state()

    return routes


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / f"{name}.jsonl").read_text("utf-8").splitlines() if line]


def _changes(person: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in person.items() if name != "customer"}

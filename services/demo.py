"""The demo: an imaginary shop with its campaigns, its policy, its customers, and events that trickle in.

Everything goes through the public doors, and delivery is the sandbox, so nothing of it can leave the machine.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from schemas.documents import load
from schemas.times import format_instant
from services.all_in_one import Embedded
from services.kit.logs import log, log_error

EXAMPLES = Path(__file__).parent.parent / "examples"
EVERY = 2.0
"""Seconds between events."""
YOURS = frozenset({"ada", "bruno"})
"""Nothing happens to these customers by itself, so that what the README shows is what you see."""


class Demo:
    """Seeds an empty installation and keeps it moving."""

    def __init__(self, embedded: Embedded, seed: int = 7) -> None:
        self._embedded = embedded
        self._random = random.Random(seed)  # noqa: S311 - a demo, not a secret
        self._case = 0
        transport = httpx.ASGITransport(app=embedded.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://tactful", timeout=60)

    async def run(self) -> None:
        """Seed if nothing is there, then send an event every few seconds, for ever."""
        try:
            customers = await self.seed()
            while True:
                await self.send(self._random.choice([each for each in customers if each not in YOURS]))
                await asyncio.sleep(EVERY)
        except httpx.HTTPError as error:
            log_error("demo_ended", error)

    async def seed(self) -> list[str]:
        """Register what `examples/` holds, unless a policy is there already. Returns the customers."""
        people = [json.loads(line) for line in (EXAMPLES / "customers.jsonl").read_text().splitlines() if line]
        customers = [person["customer"] for person in people]
        if (await self._ask("GET", "/v1/policy", expect=(200, 404))).status_code == 200:
            return customers
        policy = load((EXAMPLES / "policy.yaml").read_text())
        version = (await self._ask("PUT", "/v1/policy", policy)).json()["version"]
        await self._lead(f"/v1/policy/versions/{version}")
        for path in sorted((EXAMPLES / "campaigns").glob("*.yaml")):
            campaign = load(path.read_text())
            await self._ask("PUT", f"/v1/campaigns/{campaign['key']}", campaign)
            await self._lead(f"/v1/campaigns/{campaign['key']}")
        for person in people:
            await self._ask("PUT", f"/v1/preferences/{person['customer']}", person)
        log("demo_seeded", customers=len(customers))
        return customers

    async def _lead(self, path: str) -> None:
        await self._ask("POST", f"{path}/submit")
        await self._ask("POST", f"{path}/approve", by="reviewer")
        await self._ask("POST", f"{path}/activate")

    async def send(self, customer: str) -> None:
        """One event about a customer, of the kinds that a shop has."""
        kind, data = self._event()
        now = self._embedded.clock.now()
        event = {
            "specversion": "1.0",
            "id": f"demo-{now}",
            "source": "/demo/shop",
            "type": kind,
            "subject": customer,
            "time": format_instant(now),
            "data": data,
        }
        await self._ask("POST", "/v1/events", event)

    def _event(self) -> tuple[str, Mapping[str, Any]]:
        roll = self._random.random()
        total = round(self._random.uniform(8, 180), 2)
        if roll < 0.40:
            return "shop.order.shipped", {"order": self._number("o"), "carrier": "Postbote", "total": total}
        if roll < 0.65:
            return "shop.order.delivered", {"order": self._number("o"), "total": total}
        if roll < 0.75:
            return "shop.product.launched", {"product": "Twelve kinds of basil", "about": "herbs"}
        if roll < 0.85:
            return "shop.payment.failed", {"order": self._number("o"), "total": total}
        if roll < 0.90:
            return "shop.support.closed", {"case": self._number("s")}
        if roll < 0.93:
            return "shop.complaint.filed", {"case": "k-1"}
        if roll < 0.97:
            return "shop.complaint.resolved", {"case": "k-1"}
        return "tactful.preference.changed", {"opt_outs": [{"topic": "news"}]}

    def _number(self, letter: str) -> str:
        self._case += 1
        return f"{letter}-{1000 + self._case}"

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "admin",
        expect: tuple[int, ...] = (200, 201, 202),
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._embedded.keys[by]}"}
        response = await self._client.request(method, path, json=body, headers=headers)
        if response.status_code not in expect:
            log("demo_refused", level="error", path=path, status=response.status_code)
            response.raise_for_status()
        return response

"""The demo: an imaginary shop with campaigns, a policy, customers and a steady trickle of events.

It uses only the public HTTP API. It runs only where every channel uses the sandbox, so no message can leave the
machine.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx
from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.documents import load_document
from schemas.fields import Document
from schemas.link_tokens import create_link_builder
from schemas.times import format_instant
from services.development.all_services import EmbeddedTactful
from services.development.demo_outcomes import DemoOutcomes, takes_receipts
from services.development.imaginary_shop import ShopEvent, ShopEventGenerator, generate_customers
from services.kit.errors import Conflict
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.path_segments import quote_segment
from services.kit.http.request_body import document_body
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import ManualClock
from services.orchestrator.settings import OrchestratorSettings

EXAMPLES = Path(__file__).parents[2] / "examples"
CUSTOMER_COUNT = 200
"""The customers of `examples/`, completed by generated ones."""
EVENT_INTERVAL_SECONDS = 2.0
"""Seconds between events."""
CUSTOMERS_WITHOUT_EVENTS = frozenset({"ada", "bruno"})
"""Customers without events of their own, so that the commands of the README print what it shows."""
EVENT_SOURCE = "/demo/shop"
BRAND: Mapping[str, object] = {
    "name": "Meadow & Pine",
    "legal_line": "Meadow & Pine, an imaginary shop",
    "logo_file": EXAMPLES / "meadow-and-pine.svg",
    "logo_dark_file": EXAMPLES / "meadow-and-pine-dark.svg",
}
"""The shop as the public pages show it."""
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"


class DemoShop:
    """Registers the shop where it is missing, and sends its events."""

    def __init__(self, embedded: EmbeddedTactful) -> None:
        self._embedded = embedded
        self._event_generator = ShopEventGenerator()
        self._sent_count = 0
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        transport = httpx.ASGITransport(app=embedded.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://tactful", timeout=60)

    @property
    def running(self) -> bool:
        """Whether events are being sent."""
        return any(not task.done() for task in self._tasks)

    def to_response(self) -> dict[str, object]:
        """The response of `GET /v1/dev/demo`."""
        is_clock_stopped = isinstance(self._embedded.clock, ManualClock)
        return {
            "running": self.running,
            "clock": "stands still" if is_clock_stopped else "runs",
            "customers": CUSTOMER_COUNT,
        }

    async def start(self) -> None:
        """Register what is missing; then send events, unless the clock is stopped.

        Raises Conflict if a channel does not use the sandbox.
        """
        require_sandbox(self._embedded.settings)
        async with self._lock:
            if self.running:
                return
            is_new = await self._seed_policy_and_campaigns()
            customers = await self._seed_customers(is_new)
            if not isinstance(self._embedded.clock, ManualClock):
                others = [each for each in customers if each not in CUSTOMERS_WITHOUT_EVENTS]
                events = self._send_events_forever(others, with_opening_events=is_new)
                self._tasks = [asyncio.create_task(events)]
                if takes_receipts(self._embedded):
                    outcomes = DemoOutcomes(self._embedded, self._client, CUSTOMERS_WITHOUT_EVENTS)
                    self._tasks.append(asyncio.create_task(outcomes.run()))
                else:
                    log("demo_without_outcomes", level="warning", setting="TACTFUL_SANDBOX__SECRET")

    async def stop(self) -> None:
        """Stop the events; the data stays."""
        async with self._lock:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []

    async def try_start(self) -> None:
        """Start, and log a failure instead of raising it: nobody waits for the result."""
        try:
            await self.start()
        except httpx.HTTPError as error:
            log_error("demo_ended", error)

    async def _seed_policy_and_campaigns(self) -> bool:
        """Lead the policy and the campaigns of `examples/` through their lives. Whether there was no policy."""
        is_new = not (await self._request("GET", "/v1/policy/versions"))["items"]
        if is_new:
            version = (
                await self._request("PUT", "/v1/policy", load_document((EXAMPLES / "policy.yaml").read_bytes()))
            )["version"]
            await self._activate(f"/v1/policy/versions/{version}")
        known_keys = {each["key"] for each in (await self._request("GET", "/v1/campaigns?limit=200"))["items"]}
        for path in sorted((EXAMPLES / "campaigns").glob("*.yaml")):
            campaign = load_document(path.read_bytes())
            campaign_path = f"/v1/campaigns/{campaign['key']}"
            if campaign["key"] not in known_keys:
                await self._request("PUT", campaign_path, campaign)
                await self._activate(campaign_path)
        return is_new

    async def _seed_customers(self, is_new: bool) -> list[str]:
        """Register the customers, unless the last one exists already. Returns all of them.

        `is_new`: nothing has been registered here so far, so nothing is looked for: an answer 404 would be logged.
        """
        example_customers = _read_examples("customers")
        generated_customers = list(generate_customers(CUSTOMER_COUNT - len(example_customers)))
        last = f"/v1/preferences/{quote_segment(generated_customers[-1]['customer'])}"
        if is_new or not await self._exists(last):
            for person in example_customers:
                await self._request("PUT", f"/v1/preferences/{quote_segment(person['customer'])}", person)
            await self._request("POST", "/v1/suppressions", _read_examples("suppressions"))
            await self._send_events(
                [
                    ShopEvent(p["customer"], "tactful.preference.changed", _preference_changes(p))
                    for p in generated_customers
                ]
            )
            log("demo_seeded", customers=CUSTOMER_COUNT)
        return [person["customer"] for person in (*example_customers, *generated_customers)]

    async def _send_events_forever(self, customers: Sequence[str], with_opening_events: bool) -> None:
        if with_opening_events:
            await self._send_events(self._event_generator.opening_events(customers))
        while True:
            try:
                await self._send_events([self._event_generator.next_event(customers)])
            except httpx.HTTPError as error:
                log_error("demo_event_refused", error)
            await asyncio.sleep(EVENT_INTERVAL_SECONDS)

    async def _send_events(self, events: Iterable[ShopEvent]) -> None:
        await self._request(
            "POST", "/v1/events", [self._to_cloud_event(each) for each in events], content_type=BATCH_CONTENT_TYPE
        )

    def _to_cloud_event(self, event: ShopEvent) -> dict[str, Any]:
        self._sent_count += 1
        now = self._embedded.clock.now()
        return {
            "specversion": "1.0",
            "id": f"demo-{now}-{self._sent_count}",
            "source": EVENT_SOURCE,
            "type": event.event_type,
            "subject": event.customer,
            "time": format_instant(now),
            "data": event.data,
        }

    async def _activate(self, path: str) -> None:
        await self._request("POST", f"{path}/submit")
        await self._request("POST", f"{path}/approve", key_name="reviewer")
        await self._request("POST", f"{path}/activate")

    async def _exists(self, path: str) -> bool:
        return await self._request("GET", path, allow_missing=True) is not None

    async def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key_name: str = "admin",
        content_type: str = "application/json",
        allow_missing: bool = False,
    ) -> Any:
        """The JSON of the response; None for a 404 with `allow_missing`. Other errors raise httpx.HTTPStatusError."""
        headers = {"authorization": f"Bearer {self._embedded.keys[key_name]}"} | (
            {"content-type": content_type} if body else {}
        )
        response = await self._client.request(method, path, json=body, headers=headers)
        if allow_missing and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.is_error:
            log("demo_refused", level="error", path=path, status=response.status_code)
            response.raise_for_status()
        return response.json()


def preferences_link(embedded: EmbeddedTactful, customer: str = "ada") -> str:
    """The link to a customer's preference page, as messages have it."""
    settings = embedded.settings
    build_links = create_link_builder(settings.link_keys(), settings.web.public_url)
    return build_links(customer, None, "marketing", embedded.clock.now())["preferences"]


class NotSandbox(Conflict):
    """The demo runs only where no message can leave the machine."""

    default_code = "not_sandbox"


def require_sandbox(settings: OrchestratorSettings) -> None:
    """Raise NotSandbox if an adapter could send messages to a provider."""
    for channel, adapter in settings.adapters.items():
        if settings.leaves_installation(channel):
            raise NotSandbox(
                f"the demo runs only with the sandbox, and TACTFUL_ADAPTERS__{channel.upper()} is `{adapter}`:"
                " unset it, or start without the demo (--no-demo)"
            )


class DemoState(TypedDict):
    """Whether the demo shop sends events."""

    running: bool
    clock: Literal["stands still", "runs"]
    customers: int


class DemoRequest(Document):
    """What the demo shop is to do."""

    action: Literal["start", "stop"]


def demo_routes(demo: DemoShop) -> APIRouter:
    """`GET` and `POST /v1/dev/demo`: `{"action": "start"}` or `{"action": "stop"}`."""
    routes = APIRouter(prefix="/v1/dev", tags=["development"])

    @routes.get("/demo", summary="Whether the demo shop sends events", **answers({200: DemoState}))
    async def get_demo(_: Principal = requires("demo:read")) -> dict[str, object]:
        return demo.to_response()

    @routes.post(
        "/demo",
        summary="Start or stop the demo shop; responds once its customers are registered",
        **answers({200: DemoState}, NotSandbox),
    )
    async def control_demo(
        _: Principal = requires("demo:write"), body: DemoRequest = document_body(DemoRequest)
    ) -> dict[str, object]:
        await (demo.start() if body.action == "start" else demo.stop())
        return demo.to_response()

    return routes


def _read_examples(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / f"{name}.jsonl").read_text("utf-8").splitlines() if line]


def _preference_changes(person: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in person.items() if name != "customer"}

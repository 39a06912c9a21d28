"""Several orchestrators on one PostgreSQL, in one process, with a manual clock.

Everything is real except what is outside of the orchestrator: `NeighbourServices` answers for the preference and
suppression services, `Provider` accepts messages and may reject them.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.facts import Address, Consent, OptOut, Preference, Suppressions
from schemas.message import HandoverOutcome, HandoverResult, Message
from schemas.roles import Role
from schemas.service_api import AddressLift, PreferenceRequest, ProviderEntry, SuppressionRequest, SuppressionResponse
from schemas.times import format_instant, parse_instant
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.bus.batch import Batch
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Record
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.kit.runtime.settings import load_settings
from services.orchestrator import app as orchestrator
from services.orchestrator.access import api_keys
from services.orchestrator.adapter_settings import parse_routes
from services.orchestrator.decisions.evaluator import Evaluator
from services.orchestrator.decisions.pipeline import EvaluatedBatch, Pipeline
from services.orchestrator.decisions.scheduler import Scheduler
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.claims import InlineDelivery, OutboxClaimer
from services.orchestrator.delivery.deadline import HandoverDeadlines, KernelAlarm
from services.orchestrator.delivery.delivery import Delivery, HandoverLimits
from services.orchestrator.delivery.dispatcher import Dispatcher
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.delivery.recovery import AttemptRecovery
from services.orchestrator.settings import OrchestratorSettings

START = parse_instant("2026-03-02T12:00:00Z")
TOPIC = "customer.events"
ADDRESS_KEY, SERVICE_KEY = "an-address-key-of-the-races", "a-service-key-of-the-races"
# With it receipts of `webhook` can be proved, so that what it took counts as arrived once a receipt says so.
WEBHOOK_SECRET = "whsec_" + "dGFjdGZ1bC1yYWNlcy13aXRoLXdlYmhvb2tz"
LIMITS = HandoverLimits(deadline=60.0, slack=60.0)
NO_RATES: Mapping[str, float] = {}
CONTENT = {
    "push": {"en": {"title": "Hello", "body": "There."}},
    "email": {"en": {"subject": "Hello", "html": '<p><a href="{{ links.unsubscribe }}">Stop</a></p>'}},
    "sms": {"en": {"text": "Hello"}},
}
ADDRESSES = {"push": "of-{}", "email": "{}@example.org", "sms": "+4915112345678"}


@dataclass
class NeighbourServices:
    """Preference and suppression: every customer has a device, or an address on each of the `channels`, and agrees to
    everything but what is in `opted_out`, and to the channels that are named in `without` for them.

    Facts that the asker knows already are left out, as by the real ones. While `pause` is there and not set, facts are
    read at once, but their answer is on its way until it is. `witness` is called whenever facts are read; `positions`
    are those of every question, in order.
    """

    opted_out: set[str] = field(default_factory=set)
    channels: Sequence[str] = ("push",)
    without: dict[str, set[str]] = field(default_factory=dict)
    broken: bool = False
    pause: asyncio.Event | None = None
    witness: Callable[[], Awaitable[None]] | None = None
    positions: list[object] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer at the doors."""
        if self.witness is not None:
            await self.witness()
        if self.broken:
            return httpx.Response(503)
        answer, pause = self._answer(request.url.path, request.content), self.pause
        if pause is not None:
            await pause.wait()
        return httpx.Response(200, content=msgspec.msgpack.encode(answer))

    def _answer(self, path: str, body: bytes) -> object:
        if path.endswith("/facts"):
            self.positions.append(msgspec.msgpack.decode(body, strict=False)["positions"])
        if path.endswith("/preference/facts"):
            question = msgspec.msgpack.decode(body, type=PreferenceRequest)
            found = [self._preference(name) for name in question.customers]
            known = question.versions or [-1] * len(found)
            return [each for each, version in zip(found, known, strict=True) if each.version != version]
        if path.endswith("/suppression/facts"):
            asked = msgspec.msgpack.decode(body, type=SuppressionRequest)
            versions = asked.versions or [-1] * len(asked.customers)
            fresh = [each.customer for each, version in zip(asked.customers, versions, strict=True) if version != 1]
            return SuppressionResponse(tuple(Suppressions(name, 1) for name in fresh))
        if path.endswith("/topics"):
            return {"policy_version": msgspec.msgpack.decode(body)["policy_version"]}
        return {"done": True} if path.endswith("/situations") else []

    def _preference(self, name: str) -> Preference:
        agreed: dict[str, Any] = {
            "status": "granted",
            "at": START - 10**9,
            "source": "tests",
            "wording": "w",
            "basis": "consent",
        }
        consent = tuple([Consent(each, "*", **agreed) for each in self.channels])
        addresses = tuple([Address(each, ADDRESSES[each].format(name), True) for each in self.channels])
        without = sorted(self.without.get(name, ()))
        no = (*[OptOut(channel=each) for each in without], *([OptOut(all=True)] if name in self.opted_out else ()))
        version = 1 + len(no)
        return Preference(name, version, zone="UTC", addresses=addresses, consent=consent, opt_outs=no)


@dataclass
class Provider:
    """Takes messages, dedupes them by id, and refuses some, at random. `taken`: customer -> message -> when."""

    dice: random.Random
    clock: ManualClock
    odds: dict[HandoverOutcome, float] = field(default_factory=lambda: {"accepted": 1.0})
    name: str = "webhook"
    channels: frozenset[str] = frozenset({"push"})
    idempotent: bool = True
    taken: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    hangs: asyncio.Event | None = None
    """If there is one, nothing is answered until it is set."""

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One answer a message."""
        if self.hangs is not None:
            await self.hangs.wait()
        return [self._take(message, first_byte) for message in messages]

    def _take(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        first_byte.before(message.id)
        first_byte.after(message.id)
        (outcome,) = self.dice.choices(list(self.odds), list(self.odds.values()))
        if outcome in ("accepted", "unknown"):
            self.taken.setdefault(message.customer, {}).setdefault(message.id, []).append(self.clock.now())
        return HandoverResult(message.id, outcome, detail="dice", retry_after=1.0)

    async def close(self) -> None:
        """Nothing to give back."""


class NoEntries:
    """Takes do-not-contact entries, and keeps none."""

    async def add_entries(self, entries: Sequence[ProviderEntry], added_by: str) -> None:
        """What a receipt forbids: nothing, in these tests."""

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        """What a reply allows again: nothing, either."""


@dataclass
class Worker:
    """One process' worth of the orchestrator, with connections of its own. `by_itself` also hands over."""

    database: Database
    pipeline: Pipeline
    by_itself: Pipeline
    straight: InlineDelivery
    dispatcher: Dispatcher
    scheduler: Scheduler
    recovery: AttemptRecovery
    intake: ReceiptIntake
    evaluator: Evaluator

    async def hand_over(self, channel: str = "push") -> int:
        """Claim and deliver a batch of the outbox; returns how many were claimed."""
        line = next(each for each in self.dispatcher.lines if each.channel == channel)
        return await self.dispatcher.hand_over_batch(line)

    async def decide(self, *records: Record) -> None:
        """Prepare and apply a batch; what is to be sent lies in the outbox."""
        await self._decided(self.pipeline, records)

    async def decide_and_mark(self, *records: Record) -> EvaluatedBatch:
        """Prepare and apply a batch; what is to be sent is marked."""
        return await self._decided(self.by_itself, records)

    async def go(self, prepared: EvaluatedBatch) -> None:
        """Hand over what was marked, to the end."""
        await self.by_itself.after_commit(prepared)
        await self.straight.wait_until_idle()

    async def _decided(self, pipeline: Pipeline, records: Sequence[Record]) -> EvaluatedBatch:
        prepared = await pipeline.prepare(Batch.from_records(records))
        async with self.database.write() as tx:
            await pipeline.apply(tx, prepared)
        return prepared


@dataclass
class Crew:
    """Workers on one database. `clock` is that of all of them, `provider` the first one."""

    workers: list[Worker]
    clock: ManualClock
    provider: Provider
    others: NeighbourServices
    database: Database
    providers: Mapping[str, Provider]


@asynccontextmanager
async def crew(
    url: str,
    directory: Path,
    policy: dict[str, Any],
    size: int = 4,
    seed: int = 0,
    limits: HandoverLimits = LIMITS,
    routes: str = "webhook",
    rates: Mapping[str, float] = NO_RATES,
    memories: Mapping[str, float] = NO_RATES,
    chain: Sequence[str] = (),
    routes_of: Mapping[str, str] | None = None,
) -> AsyncIterator[Crew]:
    """So many workers under this policy, with the campaigns `low` and `high` on `shop.low` and `shop.high`.

    `routes`: the adapters of every channel, as a setting says it; each is a `Provider`. `routes_of`: those of channels
    that have others. `chain`: the channels of a
    third campaign, `chain`, which falls back from each to the next after half an hour.
    """
    clock, channels = ManualClock(START), frozenset({"push", *chain})
    others = NeighbourServices(channels=sorted(channels))
    by_channel = {each: parse_routes((routes_of or {}).get(each, routes)) for each in sorted(channels)}
    used = [route for each in by_channel.values() for route in each]
    providers = {
        route.adapter: Provider(random.Random(seed), clock, name=route.adapter, channels=channels) for route in used
    }
    declared = ADAPTER_REGISTRY.declarations
    silent = frozenset(each for each in providers if each in declared and not declared[each].has_receipts)
    adapters = Adapters(providers, by_channel, rates, memories, silent)
    used_by_settings = {each: "null" if each in channels else "off" for each in ("push", "email", "sms", "in_app")}
    settings = load_settings(
        OrchestratorSettings,
        address_key=ADDRESS_KEY,
        service_key=SERVICE_KEY,
        adapters=used_by_settings,
        webhook={"secret": WEBHOOK_SECRET},
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.MockTransport(others), base_url="http://others")
        )
        bus = LocalBus(directory / "log.db")
        stack.push_async_callback(bus.close)
        services = []
        for _ in range(size):
            database = Database.open(url, pool=3)
            stack.push_async_callback(database.close)
            service = orchestrator.build(
                settings, database=database, bus=bus, clock=clock, preference=PreferenceClient(client, SERVICE_KEY),
                suppression=SuppressionClient(client, SERVICE_KEY, ADDRESS_KEY.encode()), free_running=False,
            )  # fmt: skip
            services.append((service, database))
        await _launch(services[0][0], services[0][1], clock, policy, chain)
        made = [await _worker(service, database, clock, adapters, limits) for service, database in services]
        yield Crew(made, clock, providers[by_channel["push"][0].adapter], others, services[0][1], providers)


async def _worker(
    service: orchestrator.OrchestratorService,
    database: Database,
    clock: ManualClock,
    adapters: Adapters,
    limits: HandoverLimits,
) -> Worker:
    parts = service.components
    assert service.scheduler is not None
    alarms = HandoverDeadlines(KernelAlarm(), limits.slack)
    handover = Delivery(
        database,
        parts.evaluator,
        adapters,
        alarms,
        limits,
        clock,
        parts.decision_metrics,
        parts.delivery_metrics,
    )
    marker = OutboxClaimer(f"worker-{id(service)}", parts.address_key, adapters.memories)
    recovery = AttemptRecovery(database, adapters, clock, limits)
    dispatcher = Dispatcher(database, marker, handover, recovery, clock)
    await dispatcher.start()
    straight = InlineDelivery(f"straight-{id(service)}", parts.hash_address, handover)
    common = parts.evaluator, clock, parts.decision_metrics, parts.shadow, parts.erasure_intake
    intake = ReceiptIntake(database, NoEntries(), clock, ReceiptMetrics(Registry(), list(adapters.by_name)))
    return Worker(
        *(database, Pipeline(*common), Pipeline(*common, straight), straight, dispatcher, service.scheduler, recovery),
        *(intake, parts.evaluator),
    )


async def _launch(
    service: orchestrator.OrchestratorService,
    database: Database,
    clock: ManualClock,
    policy: dict[str, Any],
    chain: Sequence[str],
) -> None:
    transport = httpx.ASGITransport(service.app)
    people = {role: (await api_keys.create_key(database, role, Role(role), "tests", clock.now()))[1]
              for role in ("admin", "approver")}  # fmt: skip
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as client:

        async def call(role: str, method: str, path: str, document: object = None) -> Any:
            headers = {"Authorization": f"Bearer {people[role]}"}
            answer = await client.request(method, path, headers=headers, json=document)
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

        async def lead(path: str) -> None:
            for role, action in (("admin", "submit"), ("approver", "approve"), ("approver", "activate")):
                await call(role, "POST", f"{path}/{action}")

        version = (await call("admin", "PUT", "/v1/policy", policy))["version"]
        await lead(f"/v1/policy/versions/{version}")
        falls_back = {"strategy": "fallback", "fallback_after": "30m"}
        both: list[tuple[str, int, Sequence[str], dict[str, str]]] = [
            ("low", 10, ["push"], {}),
            ("high", 90, ["push"], {}),
        ]
        for key, priority, channels, more in (*both, ("chain", 50, chain, falls_back)) if chain else both:
            await call("admin", "PUT", f"/v1/campaigns/{key}", {
                "key": key, "name": key, "owner": "tests", "class": "marketing", "intent": "inform", "topic": "news",
                "priority": priority, "trigger": {"event": f"shop.{key}"}, "channels": list(channels), "ttl": "10d",
                "reentry": "always", "default_locale": "en", "content": {each: CONTENT[each] for each in channels},
                **more,
            })  # fmt: skip
            await lead(f"/v1/campaigns/{key}")


def record(customer: str, event: str, kind: str, at: int) -> Record:
    """An event as it lies in the log; its place there does not matter here."""
    document = {"specversion": "1.0", "id": event, "source": "/shop", "type": f"shop.{kind}", "subject": customer,
                "time": format_instant(at), "data": {}}  # fmt: skip
    return Record(TOPIC, 0, 0, customer.encode(), json.dumps(document).encode(), (), at)

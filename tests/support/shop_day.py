"""A simulated day of a shop in a real installation with a manual clock, for browser tests and pictures."""

import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from schemas.documents import load_document
from schemas.times import MINUTE, Instant, format_instant, parse_instant
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing
from tests.support.servers import ROOT, free_port, start_on_free_ports, wait_until_started

BEGIN = parse_instant("2026-10-13T12:20:00Z")
STEP = 20 * MINUTE
STEPS = 72
HOSTILE = '<script>alert("x")</script>'
_LINK = re.compile(r"(http://\S+/console/sign-in\?token=\S+)")
_EXAMPLES = ROOT / "examples"


@dataclass
class ShopDay:
    """An installation: where it answers, its keys, and the one-time link of its start box."""

    url: str
    keys: Mapping[str, str]
    link: str
    process: subprocess.Popen[bytes]
    directory: Path
    now: Instant = BEGIN
    sent: int = 0

    def call(self, method: str, path: str, body: Any = None, by: str = "admin") -> Any:
        """Ask the API. Raises for a refusal."""
        headers = {"Authorization": f"Bearer {self.keys[by]}"}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=60)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def advance(self, span: Instant) -> None:
        """Let time pass."""
        self.now += span
        self.call("POST", "/v1/dev/clock", {"set": format_instant(self.now)})

    def event(self, kind: str, customer: str, data: Mapping[str, Any], id: str = "") -> None:
        """Something happened to a customer, just now."""
        self.sent += 1
        event = {
            "specversion": "1.0",
            "id": id or f"{kind.rpartition('.')[2]}-{self.sent:04}",
            "source": "/shop",
            "type": kind,
            "subject": customer,
            "time": format_instant(self.now),
            "data": data,
        }
        self.call("POST", "/v1/events?wait=10s", event)

    def key_of(self, role: str) -> str:
        """A new key of a role."""
        return str(self.call("POST", "/v1/keys", {"name": f"{role}-of-the-tests", "role": role})["key"])


@contextlib.contextmanager
def installation(folder: Path) -> Iterator[ShopDay]:
    """`tactful dev` with a clock that stands still, without campaigns and customers."""
    scene = start_on_free_ports(lambda: _start(folder))
    try:
        yield scene
    finally:
        scene.process.terminate()
        scene.process.wait(30)


CODES = {"TACTFUL_CENTRE__CODE_CHANNELS": "email,sms"}
"""Customers may add addresses on these channels."""


def _start(folder: Path) -> ShopDay:
    port = free_port()
    log = folder / "dev.log"
    command = [sys.executable, "-m", "tactful", "dev", "--no-demo", "--data-dir", str(folder / "data")]
    command += ["--port", str(port), "--clock", format_instant(BEGIN)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=dict(os.environ) | CODES)
    url = f"http://127.0.0.1:{port}"
    wait_until_started("tactful dev", process, lambda: _shows_its_link(log, url), log)
    link = _LINK.search(log.read_text())
    assert link is not None
    return ShopDay(url, json.loads((folder / "data" / "keys.json").read_text()), link[1], process, folder / "data")


def _shows_its_link(log: Path, url: str) -> bool:
    if not _LINK.search(log.read_text()):
        return False
    try:
        return httpx.get(f"{url}/livez").is_success
    except httpx.HTTPError:
        return False


def seed(scene: ShopDay) -> None:
    """The shop's policy, campaigns and customers."""
    version = scene.call("PUT", "/v1/policy", load_document((_EXAMPLES / "policy.yaml").read_text()))["version"]
    _lead(scene, f"/v1/policy/versions/{version}")
    for path in sorted((_EXAMPLES / "campaigns").glob("*.yaml")):
        document = load_document(path.read_text())
        scene.call("PUT", f"/v1/campaigns/{document['key']}", document)
        _lead(scene, f"/v1/campaigns/{document['key']}")
    for line in (_EXAMPLES / "customers.jsonl").read_text().splitlines():
        person = json.loads(line)
        scene.call("PUT", f"/v1/preferences/{person['customer']}", person)


def _lead(scene: ShopDay, path: str) -> None:
    scene.call("POST", f"{path}/submit")
    scene.call("POST", f"{path}/approve", by="reviewer")
    scene.call("POST", f"{path}/activate")


def play(scene: ShopDay, steps: int = STEPS) -> None:
    """A day: orders, a complaint, failures, a hold, a campaign that waits for approval."""
    chance = random.Random(11)
    people = [json.loads(line)["customer"] for line in (_EXAMPLES / "customers.jsonl").read_text().splitlines()]
    scene.event("shop.complaint.filed", "ada", {"case": "k-47990", "about": "a broken pot"}, "k-47990")
    for step in range(steps):
        for _ in range(2 + step % 3):
            _something(scene, chance, chance.choice(people))
        if step == steps // 3:
            scene.event("shop.complaint.resolved", "ada", {"case": "k-47990"}, "k-47990-closed")
        if step == 1:
            for customer in ("chiara", "dario", "ines"):  # their letter lacks the product's name
                scene.event("shop.product.launched", customer, {"about": "herbs"})
        if step == steps - 2:
            _trouble(scene)
        scene.advance(STEP)
    _finish(scene)


def _something(scene: ShopDay, chance: random.Random, customer: str) -> None:
    order, total = f"o-{chance.randrange(47000, 49000)}", round(chance.uniform(8, 180), 2)
    roll = chance.random()
    if roll < 0.4:
        scene.event("shop.order.shipped", customer, {"order": order, "carrier": "Postbote"}, f"{order}-shipped")
    elif roll < 0.65:
        scene.event("shop.order.delivered", customer, {"order": order, "total": total}, f"{order}-delivered")
    elif roll < 0.8:
        scene.event("shop.product.launched", customer, {"product": "Linen chair"})
    elif roll < 0.9:
        scene.event("shop.payment.failed", customer, {"order": order, "total": total}, f"{order}-payment")
    else:
        scene.event("shop.support.closed", customer, {"case": order}, f"{order}-support")


def _trouble(scene: ShopDay) -> None:
    """What needs somebody: a hold, and a draft for review."""
    hold = {"key": "checkout-fails", "mode": "defer", "from": format_instant(scene.now), "reason": "INC-482"}
    scene.call("POST", "/v1/holds", {**hold, "scope": {"intents": ["advertise", "ask_referral"]}})
    draft = load_document((_EXAMPLES / "campaigns" / "product-news.yaml").read_text())
    scene.call("PUT", f"/v1/campaigns/{draft['key']}", {**draft, "priority": 35})
    scene.call("POST", f"/v1/campaigns/{draft['key']}/submit")


def _finish(scene: ShopDay) -> None:
    """The last minutes: three messages about one payment, and a rival for the referral."""
    scene.event("shop.order.delivered", "jonas", {"order": "o-48213", "total": 84.5}, "o-48213-delivered")
    scene.event("shop.order.delivered", "ada", {"order": "o-48214", "total": 129.0}, "o-48214-delivered")
    scene.advance(MINUTE)
    scene.event("shop.payment.failed", "bruno", {"order": "o-48215", "total": 64.9}, "o-48215-payment")
    scene.event("shop.order.shipped", "ada", {"order": "o-48214", "carrier": "Postbote"}, "o-48214-shipped")


def hostile(scene: ShopDay) -> None:
    """Values that would be markup, scripts or links if somebody forgot to escape them."""
    campaign = load_document((_EXAMPLES / "campaigns" / "order-shipped.yaml").read_text())
    campaign |= {"key": "hostile", "name": f"Hostile {HOSTILE}", "trigger": {"event": "shop.hostile"}}
    body = '<p>{{ event.data.what }}</p><p><a href="https://example.com/x">x</a></p>'
    campaign["content"] = {"email": {"en": {"subject": "{{ event.data.what }}", "html": body}}}
    campaign["channels"] = ["email", "sms"]
    campaign["strategy"] = "all"
    campaign["content"]["sms"] = {"en": {"text": "{{ event.data.what }} javascript:alert(1) https://example.com/y"}}
    scene.call("PUT", "/v1/campaigns/hostile", campaign)
    _lead(scene, "/v1/campaigns/hostile")
    hold = {"key": "autumn-sale", "mode": "defer", "from": format_instant(scene.now), "reason": f"INC-9 {HOSTILE}"}
    scene.call("POST", "/v1/holds", {**hold, "scope": {"campaigns": ["product-news"]}})
    person = {"customer": "mallory", "traits": {"name": f"Mallory {HOSTILE}"}, "locale": "en"}
    addresses = [{"channel": "email", "address": "mallory@example.org", "verified": True}]
    addresses.append({"channel": "sms", "address": "+447700900999", "verified": True})
    scene.call("PUT", "/v1/preferences/mallory", {**person, "addresses": addresses})
    scene.event("shop.hostile", "mallory", {"what": HOSTILE}, HOSTILE)
    for customer in ("ada", "bruno", "chiara", "dario", "greta", "kim"):
        scene.event("shop.product.launched", customer, {"product": "Grundstücksverkehrsgenehmigungszuständigkeit"})
    bury(scene, "mallory", HOSTILE.encode() * 40)
    event = {"specversion": "1.0", "id": HOSTILE, "source": "/shop", "type": "shop.hostile", "subject": "mallory"}
    bury(scene, "mallory", json.dumps({**event, "time": HOSTILE}).encode())
    for number, text in enumerate((HOSTILE, "please stop", "Grundstücksverkehrsgenehmigungszuständigkeit " * 4), 1):
        ask_to_stop(scene, number, text)
    scene.event("tactful.customer.erased", "gone-for-good", {})


def ask_to_stop(scene: ShopDay, number: int, text: str) -> None:
    """A reply that nobody has decided about, past the provider that would bring it."""
    with contextlib.closing(sqlite3.connect(scene.directory / "orchestrator.db", timeout=30)) as database, database:
        database.execute(
            "INSERT INTO undecided_reply (receipt_key, message_id, customer, adapter, channel, address, text, at, "
            "received, held_from, state) VALUES (?, 'msg_1', 'mallory', 'twilio', 'sms', '+447700900999', ?, ?, ?, ?, "
            "'undecided')",
            (f"twilio:{number}", text, scene.now, scene.now, scene.now),
        )


def bury(scene: ShopDay, customer: str, value: bytes) -> None:
    """Publish a record that cannot be applied, past the checks of the HTTP API."""

    async def append() -> None:
        bus = LocalBus(scene.directory / "log.db")
        await bus.publish([Outgoing("customer.events", customer.encode(), value)])
        await bus.close()

    # In a thread of its own: a browser's driver may have an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, append()).result()
    scene.call("POST", "/v1/dev/clock", {"settle": True})

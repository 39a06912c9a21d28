"""The product is killed at every step of its handovers to a provider of the lab, and between them: what the lab's log
holds afterwards is what promises allow: for a provider that knows a message again, for one that can be asked which it
has had, and for one that does neither.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from services.lab.arrival_log import LOG_FILE
from tests.support.command_line import environment
from tests.support.document_builders import TOPICS, campaign, customer
from tests.support.fragile_product import STEPS, start_fragile
from tests.support.running_lab import NOBODY, LabEvidence, lab_process
from tests.support.servers import ROOT, answers, free_port, start_on_free_ports, wait_until_started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TRIALS = int(os.environ.get("TRIALS", "1"))
"""How often the product is killed at each step; and three times as often, less two, at any instant."""
BATCH = 8
"""Events for each life of the product."""
ENDED = ("accepted", "rejected", "suppressed", "failed", "unknown")
READY_TIMEOUT = 60.0
"""Seconds."""
SENT_MEANWHILE = 0.6
"""Seconds of work within which a kill at any instant falls."""
SCRIPT: Mapping[str, Any] = {
    "seed": 11,
    "faults": [
        {"fault": "cut_after_accept", "share": 0.08, "requests": 1},
        {"fault": "error_after_accept", "share": 0.08, "requests": 1},
        {"fault": "error", "share": 0.05, "requests": 1},
        {"fault": "too_many", "share": 0.05, "requests": 1, "retry_after": "date"},
        {"fault": "slow", "share": 0.2, "seconds": 0.1},
        {"fault": "cut_before_reading", "share": 0.04},
    ],
}


APPEARS_AFTER, ABSENT_AFTER = 1.5, 4.0
"""Seconds until the lab's search shows a message, and after which the product believes that one is not there."""


class Played(NamedTuple):
    """A provider that runs, its log, and the settings of the product's adapter."""

    provider: str
    evidence: LabEvidence
    settings: Mapping[str, str]
    searched: bool = False

    @property
    def ended(self) -> Sequence[str]:
        """The states in which nothing happens to a message any more."""
        return [each for each in ENDED if each != "unknown"] if self.searched else ENDED


class StoredMessage(NamedTuple):
    """What the product says of a message."""

    id: str
    event: str
    state: str


@dataclass
class Product:
    """A product on files, which lives and dies."""

    directory: Path
    played: Played
    port: int = field(default_factory=free_port)
    running: ForkServerProcess | None = None
    sent: list[str] = field(default_factory=list)
    """The ids of all events."""
    unanswered: list[list[dict[str, Any]]] = field(default_factory=list)
    """Batches of events that it has not confirmed: the shop publishes them again."""

    def start(self, step: str | None = None) -> None:
        """Starts; it will end at this step. Returns once it is ready, or has ended."""
        given = {
            **self.played.settings,
            "TACTFUL_ADAPTERS__EMAIL": self.played.provider,
            "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
            "TACTFUL_MAIL__FROM_ADDRESS": "news@shop.example",
        }
        log = self.directory.with_suffix(".log")
        self.running = start_fragile(step, self.directory, self.port, environment(**given), log)
        deadline = time.monotonic() + READY_TIMEOUT
        while self.running.is_alive() and not self._is_ready():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        assert step is not None or self.running.is_alive(), log.read_text()

    def _is_ready(self) -> bool:
        try:
            return answers(self.port) and httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.join(30)

    def call(self, method: str, path: str, body: Any = None, key: str = "admin", kind: str = "application/json") -> Any:
        """One request, which must succeed."""
        keys = json.loads((self.directory / "keys.json").read_text())
        headers = {"authorization": f"Bearer {keys[key]}", "content-type": kind}
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=20, trust_env=False)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def set_up(self, customers: Sequence[str]) -> None:
        """A policy without rules, a campaign that sends a receipt for each order, and customers."""
        version = self.call("PUT", "/v1/policy", {"zone": "Etc/UTC", "topics": TOPICS})["version"]
        self._lead(f"/v1/policy/versions/{version}")
        content = {"email": {"en": {"subject": "Order {{ event.data.n }}", "html": "<p>Thank you.</p>"}}}
        transactional = {"class": "transactional", "intent": "inform"}
        document = campaign("order", reentry="always", ttl="1h", content=content, **transactional)
        del document["topic"]
        self.call("PUT", "/v1/campaigns/order", document)
        self._lead("/v1/campaigns/order")
        for each in customers:
            self.call("PUT", f"/v1/preferences/{each}", customer(each))

    def _lead(self, path: str) -> None:
        self.call("POST", f"{path}/submit")
        self.call("POST", f"{path}/approve", key="reviewer")
        self.call("POST", f"{path}/activate")

    def order(self, customers: Sequence[str]) -> None:
        """One order of each of these customers."""
        number = len(self.sent)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        events = [
            {"specversion": "1.0", "id": f"e-{number + place}", "source": "/shop", "type": "shop.order",
             "subject": each, "time": now, "data": {"n": number + place}}
            for place, each in enumerate(customers)
        ]  # fmt: skip
        try:
            self.call("POST", "/v1/events", events, kind="application/cloudevents-batch+json")
        except httpx.HTTPError:  # killed before it has answered
            self.unanswered.append(events)
        self.sent += [str(each["id"]) for each in events]

    def publish_again(self) -> None:
        """What was not answered, once more."""
        while self.unanswered:
            self.call("POST", "/v1/events", self.unanswered[-1], kind="application/cloudevents-batch+json")
            self.unanswered.pop()

    def redrive(self) -> None:
        """Handles again what it has put aside, because several of its lives have ended over it."""
        letters = [each["id"] for each in self.call("GET", "/v1/dead-letters?state=open")["items"]]
        if letters:
            body = {"ids": letters, "rate": 100, "reason": "the processes were killed by a test"}
            self.call("POST", "/v1/dead-letters/redrive", body)

    def messages(self) -> list[StoredMessage]:
        """All messages, as its database has them."""
        connection = sqlite3.connect(f"file:{self.directory / 'orchestrator.db'}?mode=ro", uri=True, timeout=20)
        try:
            found = connection.execute("SELECT message_id, event_id, state FROM tracked_message").fetchall()
        finally:
            connection.close()
        return [StoredMessage(*row) for row in found]

    def rest(self, timeout: float = 60.0) -> list[StoredMessage]:
        """All messages, once each event has one and all have ended."""
        deadline = time.monotonic() + timeout
        while True:
            messages = self.messages()
            left = [each for each in messages if each.state not in self.played.ended]
            missing = set(self.sent) - {each.event for each in messages}
            if not left and not missing:
                return messages
            assert time.monotonic() < deadline, f"left {left[:5]}, missing {sorted(missing)[:5]}"
            if missing:
                self.redrive()
            time.sleep(0.2)


@pytest.fixture(params=["resend", "postmark", "smtp", "mailgun:searched", "postmark:searched"])
def played(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Played]:
    """A provider with faults, which says nothing of what became of messages: the product has to know by itself."""
    script = tmp_path / "script.json"
    provider, _, searched = request.param.partition(":")
    # After a 450 of SMTP a message waits for five minutes.
    # After a search that has failed the provider is not asked for a minute.
    left_out = "too_many" if provider == "smtp" else "cut_before_reading" if searched else ""
    faults = [each for each in SCRIPT["faults"] if each["fault"] != left_out]
    more = {"receipts": {"lost": 1}, **({} if provider == "smtp" else {"searches": {"appears_after": APPEARS_AFTER}})}
    script.write_text(json.dumps({**SCRIPT, "faults": faults, **more}))
    running = smtp_lab(tmp_path / "lab", script) if provider == "smtp" else http_lab(tmp_path / "lab", script)
    with running as (evidence, settings):
        own = dict(settings(provider))
        if searched:
            own[f"TACTFUL_{provider.upper()}__ABSENT_AFTER"] = str(ABSENT_AFTER)
        yield Played(provider, evidence, own, bool(searched))


Settings = Callable[[str], Mapping[str, str]]


@contextmanager
def http_lab(directory: Path, script: Path) -> Iterator[tuple[LabEvidence, Settings]]:
    """`tactful lab`."""
    with lab_process(directory, "--script", str(script), "--receipts", NOBODY) as running:
        yield running.evidence, running.environment


@contextmanager
def smtp_lab(directory: Path, script: Path) -> Iterator[tuple[LabEvidence, Settings]]:
    """tests/support/smtp_lab.py."""
    directory.mkdir()

    def start() -> tuple[subprocess.Popen[bytes], int]:
        port, path = free_port(), directory / "smtp.log"
        command = [sys.executable, "-m", "tests.support.smtp_lab", str(directory), str(port), str(script)]
        with path.open("ab") as log:
            server = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log)
        wait_until_started("the mail server", server, lambda: answers(port), path)
        return server, port

    server, port = start_on_free_ports(start)
    place = {"TACTFUL_SMTP__HOST": "127.0.0.1", "TACTFUL_SMTP__PORT": str(port), "TACTFUL_SMTP__SECURITY": "none"}
    try:
        yield LabEvidence(directory / LOG_FILE), lambda provider: place
    finally:
        server.kill()
        server.wait(30)


def kill_at_every_step(product: Product, customers: Sequence[str]) -> None:
    """One life after another: orders come in, and the product ends on its way with them."""
    for step in tuple(STEPS) * TRIALS:
        product.start(step)
        assert product.running is not None
        if not product.sent:
            product.set_up(customers)
        if product.running.is_alive():
            product.order(customers)
        product.running.join(30)
        assert product.running.exitcode == -signal.SIGKILL, step
    chance = random.Random(5)
    for _ in range(3 * TRIALS - 2):
        product.start()
        product.publish_again()
        product.order(customers)
        time.sleep(chance.uniform(0, SENT_MEANWHILE))
        product.kill()


def violations(played: Played, messages: Sequence[StoredMessage]) -> list[str]:
    """What promises D4 to D6 do not allow, as sentences."""
    effects, requests = played.evidence.effects(played.provider), played.evidence.requests(played.provider)
    states = {each.id: each.state for each in messages}
    found = [f"{id} arrived unknown to the product" for id in requests if id not in states]
    found += [f"{id} was sent {count} times" for id, count in effects.items() if count > 1]
    for id, state in states.items():
        if state == "accepted" and not effects[id]:
            found.append(f"{id} counts as accepted, and was never sent")
        if state not in ("accepted", "unknown"):
            found.append(f"{id} is {state}, and nothing has refused it for good")
    return found


def test_a_kill_at_any_step_neither_loses_nor_doubles(played: Played, tmp_path: Path) -> None:
    customers = [f"c-{number}" for number in range(BATCH)]
    product = Product(tmp_path / "product", played)
    try:
        kill_at_every_step(product, customers)
        product.start()
        product.publish_again()
        messages = product.rest()
    finally:
        if product.running is not None:
            product.kill()
    assert len(messages) == len(product.sent) >= 3 * BATCH
    assert violations(played, messages) == []
    if played.provider == "resend":
        assert_each_took_effect_once(played.evidence, messages)
    elif played.searched:
        assert_each_was_sent_once_in_the_end(played, messages)
    else:
        assert_none_was_tried_on_a_guess(played, messages)


def assert_each_took_effect_once(evidence: LabEvidence, messages: Sequence[StoredMessage]) -> None:
    """With keys: all are accepted, each had one effect, and what came again came under the same key and body."""
    assert {each.state for each in messages} == {"accepted"}
    assert evidence.effects("resend") == dict.fromkeys([each.id for each in messages], 1)
    assert evidence.repetitions("resend")
    assert all(len(found) == 1 and next(iter(found))[0] == id for id, found in evidence.keys("resend").items())


def assert_each_was_sent_once_in_the_end(played: Played, messages: Sequence[StoredMessage]) -> None:
    """Searchable: all are accepted and each had one effect, though the provider knows none again. What was found there
    was not sent again; what was not there was.
    """
    assert {each.state for each in messages} == {"accepted"}
    assert played.evidence.effects(played.provider) == dict.fromkeys([each.id for each in messages], 1)
    assert played.evidence.repetitions(played.provider) == {}


def assert_none_was_tried_on_a_guess(played: Played, messages: Sequence[StoredMessage]) -> None:
    """Blind: a message of which nobody knows whether it arrived is left at that; some have arrived, others have not.
    Only what was refused for sure, as too much at once or by a reply of SMTP, came again.
    """
    evidence = played.evidence
    effects, requests = evidence.effects(played.provider), evidence.requests(played.provider)
    sure = {each.message_id for each in evidence.arrivals if each.outcome == "refused" and 400 <= each.status < 500}
    unknown = [each.id for each in messages if each.state == "unknown"]
    assert {effects[id] for id in unknown} == {0, 1}
    assert [id for id, count in requests.items() if count > 1 and id not in sure] == []
    assert all(count <= 2 for count in requests.values())

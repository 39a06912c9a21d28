"""`tactful dev` behind a blind provider of the lab: what becomes of messages when receipts are the only answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.command_line import EXAMPLES, RunningProduct, product
from tests.support.running_lab import LabProcess, lab_process
from tests.support.servers import free_port

pytestmark = pytest.mark.wired

QUICK = {"delay": 0, "interval": 0}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    told = f"http://127.0.0.1:{free_port()}"
    with lab_process(tmp_path_factory.mktemp("lab") / "data", "--receipts", told) as running:
        yield running


@pytest.fixture(scope="module")
def shop(lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    given = {
        **lab.environment("postmark"),
        "TACTFUL_ADAPTERS__EMAIL": "postmark",
        "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
        "TACTFUL_MAIL__FROM_ADDRESS": "news@shop.example",
        "TACTFUL_WEB__PORT": lab.options[-1].rpartition(":")[2],
    }
    with product(tmp_path_factory.mktemp("shop") / "data", "--no-demo", **given) as running:
        for document in (("policy", "policy.yaml"), ("campaigns", "campaigns/order-shipped.yaml")):
            assert running.run(document[0], "apply", EXAMPLES / document[1], "--activate").code == 0
        yield running


def send(shop: RunningProduct, tag: str) -> str:
    """A mail to a new customer whose address has this tag; the message's id."""
    name = f"c-{next(_numbers)}"
    address = {"channel": "email", "address": f"{name}+{tag}@example.org", "verified": True}
    shop.ask("PUT", f"/v1/preferences/{name}", {"customer": name, "addresses": [address]})
    assert shop.run("events", "send", "shop.order.shipped", "--customer", name).code == 0
    (message,) = shop.ask("GET", f"/v1/messages?customer={name}")["items"]
    return str(message["message_id"])


def until(shop: RunningProduct, message_id: str, condition: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """The message, once this holds."""
    deadline = time.monotonic() + 15
    while True:
        message: Mapping[str, Any] = shop.ask("GET", f"/v1/messages/{message_id}")
        if condition(message):
            return message
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


def wait_until_told(lab: LabProcess, shop: RunningProduct, message_id: str, count: int) -> Mapping[str, Any]:
    """The message, once so many receipts of it were posted."""
    deadline = time.monotonic() + 15
    while sum(each["message_id"] == message_id for each in lab.ask("/lab/receipts")["items"]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return until(shop, message_id, lambda message: True)


def test_a_handover_of_which_nobody_knew_is_settled_by_its_receipt(lab: LabProcess, shop: RunningProduct) -> None:
    lab.follow({"faults": [{"fault": "cut_after_accept"}], "receipts": QUICK})
    message_id = send(shop, "deliver")
    settled = until(shop, message_id, lambda message: message["status"] == "accepted")
    assert (settled["delivery"], [each["outcome"] for each in settled["attempts"]]) == ("delivered", ["unknown"])
    assert lab.evidence.requests("postmark")[message_id] == 1


def test_without_a_receipt_it_stays_unknown_and_is_not_sent_again(lab: LabProcess, shop: RunningProduct) -> None:
    lab.follow({"faults": [{"fault": "error"}, {"fault": "cut_after_accept"}], "receipts": {"lost": 1}})
    message_id = send(shop, "deliver")
    message = until(shop, message_id, lambda message: message["status"] == "unknown")
    assert message["receipts"] == [] and lab.evidence.requests("postmark")[message_id] == 1


def test_receipts_that_come_twice_and_the_wrong_way_round_count_once(lab: LabProcess, shop: RunningProduct) -> None:
    lab.follow({"receipts": {**QUICK, "copies": 3, "reversed": True}})
    message_id = send(shop, "latebounce")
    message = wait_until_told(lab, shop, message_id, 6)
    assert sorted(each["kind"] for each in message["receipts"]) == ["bounced", "delivered"]
    assert (message["status"], message["delivery"]) == ("accepted", "bounced")


@pytest.mark.parametrize(
    ("tag", "delivery", "reason"),
    [
        ("bounce", "bounced", "hard_bounce"),
        ("softbounce", "bounced", None),
        ("complain", "complained", "spam_complaint"),
        ("unsubscribe", "delivered", "stop_keyword"),
        ("click", "delivered", None),
        ("fail", "failed", None),
    ],
)
def test_what_is_told_forbids_what_it_should(
    lab: LabProcess, shop: RunningProduct, tag: str, delivery: str, reason: str | None
) -> None:
    lab.follow({"receipts": QUICK})
    before = [each["reason"] for each in shop.ask("GET", "/v1/suppressions")["items"]]
    message_id = send(shop, tag)
    until(shop, message_id, lambda message: message["delivery"] == delivery)
    if tag in ("unsubscribe", "click"):
        kind = {"unsubscribe": "unsubscribed", "click": "clicked"}[tag]
        until(shop, message_id, lambda message: kind in {each["kind"] for each in message["receipts"]})
    after = [each["reason"] for each in shop.ask("GET", "/v1/suppressions")["items"]]
    assert sorted(after) == sorted([*before, *([reason] if reason else [])])


def test_a_blocked_address_is_never_written_to_again(lab: LabProcess, shop: RunningProduct) -> None:
    lab.follow({})
    message_id = send(shop, "block")
    message = until(shop, message_id, lambda message: message["status"] == "rejected")
    customer = message["customer"]
    deadline = time.monotonic() + 15
    while not shop.ask("GET", "/v1/suppressions")["items"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lab.evidence.effects("postmark")[message_id] == 0
    assert shop.run("why", customer, "order-shipped").out.startswith("suppress")

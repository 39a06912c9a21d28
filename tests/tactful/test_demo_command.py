"""`tactful demo`, and the shop that `tactful dev` starts with."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import phonenumbers
import pytest

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.vocabulary import CHANNELS
from services.development.demo_outcomes import SHARES
from services.development.imaginary_shop import ShopEventGenerator, generate_customers
from services.lab.lab_script import LabScript
from tests.support.command_line import EXAMPLES, NOON, RunningProduct, product, run

pytestmark = pytest.mark.wired

PATIENCE = 60.0
"""Seconds to wait, enough for a busy machine."""
RESERVED = ("+447700900", "+4917139200", "+33639980", "+120255501", "+161355501", "+467017406")
"""Number ranges that the authorities of these countries reserve for fiction."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """What `make run` starts, in real time."""
    with product(tmp_path_factory.mktemp("demo") / "data") as running:
        yield running


def until(found: Callable[[], Any]) -> Any:
    """Polls until the result is not empty, and returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


def test_its_start_puts_no_error_below_the_box(shop: RunningProduct) -> None:
    """The first test here: later ones ask for what does not exist."""
    until(lambda: shop.ask("GET", "/v1/sandbox/messages")["items"])
    assert "request_error" not in (shop.directory.parent / "dev.log").read_text()


def test_messages_are_in_the_sandbox_soon_and_an_ask_is_stopped_for_a_complaint(shop: RunningProduct) -> None:
    until(lambda: shop.ask("GET", "/v1/sandbox/messages")["items"])
    stopped = until(lambda: shop.ask("GET", "/v1/decisions?campaign=referral-ask&reason=contact_history")["items"])
    assert {each["rule_id"] for each in stopped} == {"no-ask-after-complaint"}


def test_two_hundred_customers_are_known_and_two_are_left_to_you(shop: RunningProduct) -> None:
    until(lambda: shop.ask("GET", "/v1/dev/demo")["running"])
    last = until(lambda: answer(shop, "/v1/preferences/c-180"))
    assert last["addresses"] or last["locale"]
    assert shop.ask("GET", "/v1/dev/demo") == {"running": True, "clock": "runs", "customers": 200}
    assert answer(shop, "/v1/preferences/c-181") is None
    for yours in ("ada", "bruno"):
        assert shop.ask("GET", f"/v1/decisions?customer={yours}")["items"] == []


def answer(shop: RunningProduct, path: str) -> Any:
    """The response to a GET, or None for a 404."""
    with contextlib.suppress(httpx.HTTPStatusError):
        return shop.ask("GET", path)
    return None


def test_what_became_of_messages_comes_back(shop: RunningProduct) -> None:
    def deliveries() -> set[str]:
        items = shop.ask("GET", "/v1/sandbox/messages?limit=20")["items"]
        return {shop.ask("GET", f"/v1/messages/{each['message_id']}")["delivery"] for each in items} - {None}

    assert until(deliveries) <= {"delivered", "bounced", "failed", "complained"}


def test_every_fate_is_one_that_the_lab_knows() -> None:
    for channel, shares in SHARES.items():
        assert channel in CHANNELS and LabScript(fates=shares).fates == shares


def test_stop_stops_and_start_goes_on(shop: RunningProduct) -> None:
    done = shop.run("demo", "start")
    assert done.code == 0 and "200 customers" in done.err and "Next: tactful events tail" in done.err
    until(lambda: shop.ask("GET", "/v1/decisions?limit=200")["items"])
    assert shop.run("demo", "stop", "-o", "json").data["running"] is False
    time.sleep(3)  # what was published before the stop is decided by now
    before = len(shop.ask("GET", "/v1/decisions?limit=200")["items"])
    time.sleep(3)
    assert len(shop.ask("GET", "/v1/decisions?limit=200")["items"]) == before
    assert shop.run("demo", "start", "-o", "json").data["running"] is True
    until(lambda: len(shop.ask("GET", "/v1/decisions?limit=200")["items"]) > before)
    assert shop.ask("GET", "/v1/policy")["version"] == 1


def test_something_else_than_start_and_stop_is_refused(shop: RunningProduct) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        shop.ask("POST", "/v1/dev/demo", {"action": "reset"})


def test_it_exists_in_dev_alone(nothing: dict[str, str]) -> None:
    done = run("demo", "start", given=nothing)
    assert done.code == 1
    assert "the demo works only with `tactful dev`" in done.err


def test_it_is_refused_where_something_could_be_sent(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo", "--clock", NOON, TACTFUL_ADAPTERS__SMS="null") as running:
        done = running.run("demo", "start")
    assert done.code == 1
    assert "(not_sandbox)" in done.err


def test_the_people_are_the_same_each_time_and_can_all_be_registered() -> None:
    made = list(generate_customers(180))
    assert made == list(generate_customers(180)) and made != list(generate_customers(180, seed=8))
    for person in made:
        validate_document(Customer, person)
    written = {json.loads(line)["customer"] for line in (EXAMPLES / "customers.jsonl").read_text("utf-8").splitlines()}
    assert len({person["customer"] for person in made} | written) == 200


def test_the_people_live_in_many_places_and_nobody_can_be_reached() -> None:
    made = list(generate_customers(180))
    assert len({person.get("zone") for person in made}) > 15
    assert len({person["locale"].partition("-")[0] for person in made}) > 10
    addresses = [address for person in made for address in person["addresses"]]
    assert Counter(each["channel"] for each in addresses).keys() == {"email", "sms", "push", "in_app"}
    for address in addresses:
        if address["channel"] == "email":
            assert address["address"].endswith("@example.org")
        if address["channel"] == "sms":
            assert address["address"].startswith(RESERVED), address
            assert phonenumbers.is_possible_number(phonenumbers.parse(address["address"]))


def test_all_sorts_of_things_happen_complaints_and_opt_outs_among_them() -> None:
    days = ShopEventGenerator()
    customers = [person["customer"] for person in generate_customers(180)]
    kinds = Counter(days.next_event(customers).event_type for _ in range(1000))
    assert kinds.most_common(1)[0][0] == "shop.order.shipped"
    assert min(kinds["shop.complaint.filed"], kinds["tactful.preference.changed"]) > 10
    opening = [(each.customer, each.event_type) for each in days.opening_events(customers)]
    complaint = ("shop.complaint.filed", "shop.order.delivered")
    assert any((a[0] == b[0] and (a[1], b[1]) == complaint) for a, b in pairwise(opening))

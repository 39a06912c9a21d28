"""Which adapter of a channel a message gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from schemas.address_kinds import find_country
from schemas.message import Message
from services.orchestrator.adapter_settings import RouteSettings, parse_routes
from services.orchestrator.delivery.routing import AdapterChoice, choose_adapter, meets_conditions

MESSAGE = Message("m-0", "ada", "welcome", 1, "sms", "marketing", "+4915112345678", {"text": "hi"}, "/shop", "e-1")


def with_id(id: str, **fields: str) -> Message:
    return msgspec.structs.replace(MESSAGE, id=id, **fields)


def choose(
    text: str, message: Message = MESSAGE, down: str = "", share: Callable[[str], float] = lambda name: 1.0
) -> AdapterChoice:
    return choose_adapter(parse_routes(text), message, lambda name: name not in down.split(), share)


def shares(text: str, **options: object) -> Counter[str]:
    return Counter(choose(text, with_id(f"m-{number}"), **options).adapter for number in range(4_000))  # type: ignore[arg-type]


def test_the_only_adapter_gets_everything_and_messages_wait_for_it() -> None:
    assert choose("a") == ("a", True)
    assert choose("a", down="a") == ("a", False)


def test_shares_follow_the_weights() -> None:
    found = shares('[{"adapter": "a", "weight": 3}, {"adapter": "b"}]')
    assert 2_850 < found["a"] < 3_150
    assert found.total() == 4_000


def test_a_message_always_gets_the_same_adapter() -> None:
    text = '[{"adapter": "a"}, {"adapter": "b"}]'
    assert {choose(text).adapter for _ in range(50)} == {choose(text).adapter}


def test_one_that_stands_by_serves_only_while_no_other_can() -> None:
    assert shares("a, b, c") == {"a": 4_000}
    assert choose("a, b, c", down="a") == ("b", True)
    assert choose("a, b, c", down="a b") == ("c", True)
    assert choose("a, b, c", down="a b c") == ("a", False)


def test_the_share_of_a_failed_adapter_goes_to_the_others() -> None:
    text = '[{"adapter": "a"}, {"adapter": "b"}, {"adapter": "c"}]'
    found = shares(text, down="b")
    assert set(found) == {"a", "c"}
    assert abs(found["a"] - found["c"]) < 300


def test_an_adapter_that_has_come_back_gets_a_part_of_its_share() -> None:
    found = shares('[{"adapter": "a"}, {"adapter": "b"}]', share=lambda name: 0.1 if name == "a" else 1.0)
    assert 250 < found["a"] < 480


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"classes": ["marketing"]}, True),
        ({"classes": ["transactional", "service"]}, False),
        ({"topics": ["news"]}, True),
        ({"topics": ["offers"]}, False),
        ({"countries": ["AT", "DE"]}, True),
        ({"countries": ["FR"]}, False),
        ({"classes": ["marketing"], "countries": ["FR"]}, False),
        ({}, True),
    ],
)
def test_conditions_must_all_be_met(conditions: dict[str, list[str]], fits: bool) -> None:
    route = RouteSettings.model_validate({"adapter": "a", **conditions})
    assert meets_conditions(route, with_id("m-1", topic="news")) is fits


def test_a_message_without_a_topic_meets_no_condition_on_topics() -> None:
    assert not meets_conditions(RouteSettings(adapter="a", topics=frozenset({"news"})), MESSAGE)


def test_an_adapter_for_such_messages_comes_before_those_for_all() -> None:
    text = '[{"adapter": "a"}, {"adapter": "b", "classes": ["transactional"]}]'
    assert choose(text, with_id("m-1", cls="transactional")) == ("b", True)
    assert choose(text, with_id("m-1", cls="marketing")) == ("a", True)
    assert choose(text, with_id("m-1", cls="transactional"), down="b") == ("a", True)
    assert choose(text, with_id("m-1", cls="transactional"), down="a b") == ("b", False)


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("+4915112345678", "DE"),
        ("+12025550123", "US"),
        ("+14165550123", "CA"),
        ("+999", None),
        ("ada@example.com", None),
        ("+", None),
    ],
)
def test_a_country_is_that_of_a_telephone_number(address: str, country: str | None) -> None:
    assert find_country(address) == country


CHATS = """[
  {"adapter": "slack", "addresses": ["slack:"]},
  {"adapter": "acme", "addresses": ["slack:", "acme:"], "classes": ["service"]},
  {"adapter": "telegram", "addresses": ["telegram:"], "weight": 0},
  {"adapter": "other"}
]"""


@pytest.mark.parametrize(
    ("to", "down", "choice"),
    [
        ("slack:C1", "acme", ("slack", True)),
        ("telegram:5", "", ("telegram", True)),
        ("telegram:5", "telegram", ("telegram", False)),  # nobody else reaches it
        ("acme:C1", "", ("acme", True)),  # although it is no service message
        ("acme:C1", "acme", ("acme", False)),
        ("teams:x", "", ("other", True)),
    ],
)
def test_an_adapter_with_addresses_gets_these_and_no_other_adapter_does(
    to: str, down: str, choice: tuple[str, bool]
) -> None:
    assert choose(CHATS, with_id("m-1", to=to), down=down) == choice


def test_an_address_of_no_adapter_goes_to_one_that_refuses_it() -> None:
    routes = parse_routes('[{"adapter": "a", "addresses": ["a:"]}, {"adapter": "b", "addresses": ["b:"]}]')
    assert choose_adapter(routes, with_id("m-1", to="c:1"), lambda name: True, lambda name: 1.0) == ("a", True)

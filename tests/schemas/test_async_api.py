"""The AsyncAPI document is one, by the official schema, is current, and describes what is really in the topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest

from schemas import generate
from schemas.out_topics import (
    CHANGE_MEANINGS,
    MESSAGE_CHANGE_KINDS,
    MessageChange,
    OptOutItem,
    OptOutsData,
    message_event,
    opt_outs_event,
)
from schemas.own_events import OWN_EVENT_TYPES
from schemas.reasons import Reason
from schemas.receipt import RECEIPT_KINDS
from schemas.topics import EVENTS, MESSAGES, OPT_OUTS
from services.orchestrator.delivery.receipts.relay import _event
from tests.support.document_builders import MONDAY, event

OFFICIAL = json.loads((Path(__file__).parents[1] / "support/vendor/asyncapi-3.0.schema.json").read_text("utf-8"))
DOCUMENT = generate.generate_async_api()


def message_named(title: str, operation: str) -> jsonschema_rs.Validator:
    """The schema of the records with this title that an operation takes or sends."""
    (found,) = [each for each in messages_of(operation) if each["title"] == title]
    return jsonschema_rs.validator_for(found["payload"], validate_formats=True)


def messages_of(operation: str) -> Iterator[dict[str, Any]]:
    for reference in DOCUMENT["operations"][operation]["messages"]:
        yield follow(follow(reference))


def follow(node: dict[str, Any]) -> Any:
    """What a reference within the document leads to."""
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def change(**fields: Any) -> MessageChange:
    given: dict[str, Any] = {
        "kind": "decided",
        "at": MONDAY,
        "customer": "c-1",
        "message_id": "msg_" + "0" * 32,
        "campaign": "offer",
    }
    given |= {"version": 1, "channel": "email", "cls": "marketing", "topic": None}
    return MessageChange(**(given | {"event_source": "/shop", "event_id": "e-1"} | fields))


def test_it_is_an_asyncapi_document() -> None:
    faults = [f"{each.instance_path}: {each.message[:200]}" for each in jsonschema_rs.iter_errors(OFFICIAL, DOCUMENT)]
    assert faults == []


def test_the_official_schema_refuses_what_is_none() -> None:
    assert not jsonschema_rs.is_valid(OFFICIAL, {**DOCUMENT, "asyncapi": "2.6.0"})
    assert not jsonschema_rs.is_valid(OFFICIAL, {**DOCUMENT, "surplus": 1})


def test_every_reference_leads_somewhere() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = follow(operation["channel"])
        assert [follow(each) for each in operation["messages"]]
        assert channel in DOCUMENT["channels"].values()
    assert "#/$defs" not in json.dumps(DOCUMENT)


def test_the_file_is_current() -> None:
    written = generate.ASYNC_API_FILE.read_text("utf-8")
    assert written == generate.format_schema(DOCUMENT), "run `make schemas`"


def test_the_channels_are_the_topics() -> None:
    found = {each["address"]: each["bindings"]["kafka"]["partitions"] for each in DOCUMENT["channels"].values()}
    assert found == {each.name: each.partitions for each in (EVENTS, MESSAGES, OPT_OUTS)}


@pytest.mark.parametrize("kind", MESSAGE_CHANGE_KINDS)
def test_each_step_of_a_message_fits_its_schema(kind: Any) -> None:
    check = message_named(f"tactful.message.{kind}", "publishMessageChanges")
    bare = json.loads(message_event(change(kind=kind), "id-1"))
    whole = {"topic": "news", "reason": Reason.ELIGIBLE.value, "until": MONDAY, "adapter": "sandbox", "attempt": 1}
    whole |= {"detail": "status 1", "permanent": True, "by_machine": True}
    full = json.loads(message_event(change(kind=kind, **whole), "id-1"))
    for each in (bare, full):
        check.validate(each)
    assert not check.is_valid({**bare, "type": "tactful.message.something"})
    assert not check.is_valid({**full, "data": {**full["data"], "reason": "because"}})
    assert set(full["data"]) == set(check_properties("message-change"))


def check_properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = generate.generate_schema(name)["properties"]["data"]["properties"]
    return found


def test_every_step_has_words() -> None:
    assert set(CHANGE_MEANINGS) == set(MESSAGE_CHANGE_KINDS) >= set(RECEIPT_KINDS)


def test_opt_outs_fit_their_schema() -> None:
    check = message_named("tactful.optouts.changed", "publishOptOuts")
    items = (OptOutItem(all=True), OptOutItem(cls="service"), OptOutItem(channel="sms", topic="news"))
    for data in (OptOutsData(1, (), None), OptOutsData(2, items, "2026-03-02T10:00:00Z")):
        check.validate(json.loads(opt_outs_event("c-1", data, MONDAY, "id-1")))
    assert not check.is_valid(json.loads(opt_outs_event("c-1", OptOutsData(1, (), "tomorrow"), MONDAY, "id-1")))


@pytest.mark.parametrize("kind", RECEIPT_KINDS)
def test_the_events_of_receipts_fit_their_schema(kind: str) -> None:
    check = message_named(f"tactful.message.{kind}", "publishReceipts")
    row: Any = SimpleNamespace(
        message_id="msg_" + "0" * 32,
        campaign="offer",
        channel="email",
        cls="marketing",
        topic=None,
        adapter="sandbox",
        permanent=0,
        by_machine=1,
        detail=None,
        text="Stop",
        receipt_key="r-1",
        kind=kind,
        customer="c-1",
        at=MONDAY,
    )
    written = json.loads(_event(row))
    check.validate(written)
    schemas = [each["payload"]["properties"]["data"] for each in messages_of("publishReceipts")]
    assert all(set(written["data"]) <= set(schema["properties"]) for schema in schemas)


@pytest.mark.parametrize("kind", OWN_EVENT_TYPES)
def test_the_events_that_are_understood_are_described(kind: str) -> None:
    check = message_named(kind, "readCustomerEvents")
    data = follow_data(kind)
    assert tuple(data["properties"]) == OWN_EVENT_TYPES[kind]
    check.validate(event(kind, "e-1"))
    assert not check.is_valid(event("shop.other", "e-1"))


def follow_data(title: str) -> dict[str, Any]:
    (found,) = [each for each in messages_of("readCustomerEvents") if each["title"] == title]
    data: dict[str, Any] = found["payload"]["properties"]["data"]
    return data


def test_the_preferences_of_an_event_have_the_form_of_the_customer_document() -> None:
    check = message_named("tactful.preference.changed", "readCustomerEvents")
    check.validate(event("tactful.preference.changed", "e-1", opt_outs=[{"channel": "sms"}], locale="de"))
    assert not check.is_valid(event("tactful.preference.changed", "e-1", opt_outs=[{"channel": "pigeon"}]))

"""The adapter `teams`: its cards, its workflows, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.teams.declaration import DECLARATION, TeamsSettings
from tests.support.chat_fake import (
    EVIL,
    FULL,
    ChatFake,
    answering,
    chat_context,
    chat_under_contract,
    create_chat_adapter,
    send_chat,
)
from tests.support.mail_api_tables import COMMON_ANSWERS

SIGNATURE = "zP_2f3-signature-0123456789"
URL = (
    "https://prod-12.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke"
    f"?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SIGNATURE}"
)
SETTINGS = {"webhooks": json.dumps({"support": URL})}
ADDRESSES = {"chat": "teams:support"}
RUN = "08585287554177334956853859655CU14"
CARD_SCHEMA = {
    "type": "object",
    "required": ["type", "version", "body"],
    "properties": {
        "type": {"const": "AdaptiveCard"},
        "version": {"const": "1.4"},
        "body": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/element"}},
        "actions": {"type": "array", "maxItems": 6, "items": {"$ref": "#/$defs/action"}},
        "$schema": {"type": "string"},
        "msteams": {"type": "object"},
    },
    "additionalProperties": False,
    "$defs": {
        "element": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("container", "image", "rich_text")]},
        "container": {
            "type": "object",
            "required": ["type", "items"],
            "properties": {
                "type": {"const": "Container"},
                "id": {"type": "string"},
                "items": {"type": "array", "items": {"$ref": "#/$defs/element"}},
                "style": {"enum": ["default", "emphasis", "good", "attention", "warning", "accent"]},
                "bleed": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
        "image": {
            "type": "object",
            "required": ["type", "url"],
            "properties": {"type": {"const": "Image"}, "url": {"type": "string"}, "altText": {"type": "string"}},
            "additionalProperties": False,
        },
        "rich_text": {
            "type": "object",
            "required": ["type", "inlines"],
            "properties": {
                "type": {"const": "RichTextBlock"},
                "inlines": {"type": "array", "items": {"$ref": "#/$defs/run"}},
            },
            "additionalProperties": False,
        },
        "run": {
            "type": "object",
            "required": ["type", "text"],
            "properties": {
                "type": {"const": "TextRun"},
                "text": {"type": "string"},
                "weight": {"enum": ["default", "lighter", "bolder"]},
                "size": {"enum": ["default", "small", "medium", "large", "extraLarge"]},
            },
            "additionalProperties": False,
        },
        "action": {
            "type": "object",
            "required": ["type", "url"],
            "properties": {"type": {"const": "Action.OpenUrl"}, "title": {"type": "string"}, "url": {"type": "string"}},
            "additionalProperties": False,
        },
    },
}
"""What we use of Adaptive Cards 1.4, from their documentation: no registry of packages has their schema."""


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with chat_under_contract("teams", SETTINGS, answering(202)) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, ChatFake]:
    return await send_chat("teams", SETTINGS, answer or answering(202), **{"to": ADDRESSES["chat"], **how})


def card_of(fake: ChatFake) -> dict[str, Any]:
    [body] = fake.bodies
    assert body["type"] == "message"
    [attachment] = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    jsonschema_rs.validate(CARD_SCHEMA, attachment["content"])
    card: dict[str, Any] = attachment["content"]
    return card


async def test_a_request_holds_all_parts_of_a_message() -> None:
    result, fake = await send(answering(202, "", {"x-ms-workflow-run-id": RUN}), content=dict(FULL))
    assert (result.outcome, result.provider_id) == ("accepted", RUN)
    card = card_of(fake)
    [container] = card["body"]
    assert (container["style"], container["id"]) == ("attention", "msg_1")
    lines = ["".join(run["text"] for run in each["inlines"]) for each in container["items"] if "inlines" in each]
    assert lines == [FULL["title"], *FULL["text"].split("\n"), "Order: 7 & <8>", "When: today"]
    assert container["items"][-1] == {"type": "Image", "url": FULL["image"], "altText": "A chart"}
    assert [each["url"] for each in card["actions"]] == [FULL["link"], FULL["second_link"]]


async def test_the_url_of_the_workflow_is_called_whole() -> None:
    _, fake = await send()
    called, given = urlsplit(fake.paths[0]), urlsplit(URL)
    assert (called.path, parse_qs(called.query)) == (given.path, parse_qs(given.query))


async def test_only_the_text_is_needed() -> None:
    _, fake = await send(content={"text": "Hello"})
    card = card_of(fake)
    assert len(card["body"][0]["items"]) == 1 and "actions" not in card and "style" not in card["body"][0]


async def test_no_value_becomes_markup() -> None:
    _, fake = await send(content={"title": EVIL[:60], "text": EVIL, "facts": json.dumps({"Said": EVIL})})
    text = json.dumps(card_of(fake))
    assert '"TextBlock"' not in text and "FactSet" not in text, "both read Markdown and dates"


async def test_the_longest_message_keeps_the_limit_and_a_longer_one_is_refused() -> None:
    _, fake = await send(content={"title": "ة" * 128, "text": "字" * 2000, "facts": json.dumps({"字": "字" * 200})})
    assert len(json.dumps(fake.bodies[0], ensure_ascii=False).encode()) < 28_000
    result, fake = await send(content={"text": "x" * 30_000})
    assert (result.outcome, result.fault, result.detail) == ("rejected", "content", "payload_too_large")
    assert fake.bodies == []


OWN = {401: None, 403: None, 404: "address", 410: "address"}
"""A signature that does not fit may be mended in the settings: nothing is held against the place."""
ANSWERS = [
    *((status, "", "rejected", fault, "") for status, fault in OWN.items()),
    *(each for each in COMMON_ANSWERS if each[0] not in OWN),
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, f"status {status}")
    assert SIGNATURE not in repr(result)


async def test_the_header_says_how_long_to_wait() -> None:
    assert (await send(answering(429, "", {"retry-after": "12"})))[0].retry_after == 12.0


async def test_a_workflow_that_the_settings_do_not_name_is_refused_and_nothing_is_held_against_its_address() -> None:
    result, fake = await send(to="teams:sales")
    assert (result.outcome, result.fault, result.detail) == ("rejected", None, "unknown_webhook")
    assert fake.bodies == []


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_TEAMS__WEBHOOKS is not set"):
        create_chat_adapter("teams", {})
    assert DECLARATION.check(TeamsSettings()).remedy == "set TACTFUL_TEAMS__WEBHOOKS"
    found = DECLARATION.check(TeamsSettings.model_validate(SETTINGS))
    assert found.remedy is None and found.detail == "teams, workflows: 1"
    assert SIGNATURE not in repr(chat_context("teams", SETTINGS))


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("https:", "http:"),
        URL.replace("logic.azure.com", "evil.example"),
        URL.replace(".logic.azure.com", ".logic.azure.com.evil.example"),
        URL.replace("https://", "https://a@"),
        URL.replace(":443", ":8443"),
        URL.replace("/workflows", "/wörk"),
        f"https://logic.azure.com/x?sig={SIGNATURE}",
        f"https://shop.webhook.office.com/webhookb2/x?sig={SIGNATURE}",
        "support",
    ],
)
def test_urls_that_are_no_workflows_are_refused_at_start_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TeamsSettings.model_validate({"webhooks": json.dumps({"support": url})})
    assert "`support` is no workflow" in str(caught.value) and SIGNATURE not in str(caught.value)

"""The adapter `slack`: its blocks, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.slack.adapter import MEANINGS
from services.orchestrator.delivery.adapters.slack.declaration import DECLARATION, SlackSettings
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
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

SETTINGS = {"key": "xoxb-key-of-a-bot-0001", "posts": "C0POSTS1"}
TAKEN = {"ok": True, "channel": "C024BE91L", "ts": "1503435956.000247"}


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with chat_under_contract("slack", SETTINGS, answering(200, TAKEN)) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, ChatFake]:
    return await send_chat("slack", SETTINGS, answer or answering(200, TAKEN), **{"to": "slack:C024BE91L", **how})


def assert_valid(blocks: list[dict[str, Any]]) -> None:
    """Slack's own models of blocks take them: `validate_json` raises for what is too long or missing."""
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None and parsed.type == block["type"]
        parsed.validate_json()


async def test_a_request_holds_all_parts_of_a_message() -> None:
    result, fake = await send(content=dict(FULL))
    assert (result.outcome, result.provider_id) == ("accepted", "1503435956.000247")
    [body], [headers] = fake.bodies, fake.headers
    assert fake.paths == ["/chat.postMessage"] and headers["authorization"] == f"Bearer {SETTINGS['key']}"
    assert (body["channel"], body["unfurl_links"]) == ("C024BE91L", False)
    assert body["metadata"]["event_payload"] == {"id": "msg_1"}
    header, text, facts, image, actions = body["blocks"]
    assert header["text"] == {"type": "plain_text", "text": f"\U0001f6a8 {FULL['title']}", "emoji": False}
    [section] = text["elements"]
    assert "".join(each.get("text") or each["url"] for each in section["elements"]) == FULL["text"]
    assert {"type": "link", "url": "https://status.example/a_b*c"} in section["elements"]
    assert [each["elements"][0]["text"] for each in facts["elements"]] == ["Order: ", "When: "]
    assert (image["image_url"], image["alt_text"]) == (FULL["image"], FULL["image_text"])
    assert [each["url"] for each in actions["elements"]] == [FULL["link"], FULL["second_link"]]
    assert "Order: 7 &amp; &lt;8&gt;" in body["text"]
    assert_valid(body["blocks"])


async def test_only_the_text_is_needed() -> None:
    _, fake = await send(content={"text": "Hello"})
    assert [each["type"] for each in fake.bodies[0]["blocks"]] == ["rich_text"]
    assert_valid(fake.bodies[0]["blocks"])


async def test_no_value_becomes_markup_or_a_mention() -> None:
    content = {"title": EVIL[:60], "text": EVIL, "facts": json.dumps({"Said": EVIL})}
    _, fake = await send(content=content)
    [body] = fake.bodies
    assert "<" not in body["text"] and "&lt;!channel&gt;" in body["text"]
    assert "mrkdwn" not in json.dumps(body)
    kinds = {each["type"] for block in body["blocks"][1:] for part in block["elements"] for each in part["elements"]}
    assert kinds == {"text", "link"}
    assert_valid(body["blocks"])


async def test_the_longest_message_keeps_slacks_limits() -> None:
    content = {"title": "x" * 128, "text": "&" * 2000, "severity": "danger", "facts": json.dumps({"y": "z" * 200})}
    _, fake = await send(content=content)
    assert_valid(fake.bodies[0]["blocks"])
    assert len(json.dumps(fake.bodies[0]["blocks"])) < 13_200


async def test_a_post_goes_to_the_conversation_of_the_settings() -> None:
    result, fake = await send(channel="social", to="community")
    assert result.outcome == "accepted" and fake.bodies[0]["channel"] == "C0POSTS1"


def refusal(code: str) -> dict[str, Any]:
    return {"ok": False, "error": code}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((200, refusal(row.code), row.outcome, row.fault, row.code) for row in MEANINGS if row.code),
    (200, refusal("invalid_blocks"), "rejected", "content", "invalid_blocks"),
    (200, refusal("msg_too_long"), "rejected", "content", "msg_too_long"),
    (200, refusal("nobody@example.org"), "rejected", "content", "refused"),
    (200, {"ok": False}, "rejected", "content", "refused"),
    (200, {"ok": "yes"}, "unknown", None, "unreadable"),
    (200, "{", "unknown", None, "unreadable"),
    (202, [1], "unknown", None, "unreadable"),
    (429, refusal("ratelimited"), "retry", "throttle", "ratelimited"),
    *(each for each in COMMON_ANSWERS if each[0] >= 300),
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}, {code or 'unreadable'}"


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize("code", ["invalid_auth", "account_inactive", "token_revoked", "missing_scope"])
async def test_a_wrong_account_loses_nothing(code: str) -> None:
    result, _ = await send(answering(200, refusal(code)))
    assert (result.outcome, result.fault) == ("retry", "account")


@pytest.mark.parametrize("code", ["channel_not_found", "is_archived", "user_disabled"])
async def test_a_dead_conversation_is_a_dead_address_but_not_of_a_post(code: str) -> None:
    result, _ = await send(answering(200, refusal(code)))
    assert (result.outcome, result.fault) == ("rejected", "address")
    post, _ = await send(answering(200, refusal(code)), channel="social", to="community")
    assert (post.outcome, post.fault) == ("rejected", None)


@pytest.mark.parametrize(("given", "wait"), [("30", 30.0), ("0.5", 1.0), ("999999", 3600.0), ("x", None)])
async def test_slacks_header_says_how_long_to_wait(given: str, wait: float | None) -> None:
    result, _ = await send(answering(429, refusal("ratelimited"), {"retry-after": given}))
    assert (result.outcome, result.retry_after) == ("retry", wait)


@pytest.mark.parametrize("to", ["slack:#general", "slack:c024be91l", "slack:", "C024BE91L", "slack:C0 24"])
async def test_a_place_that_slack_cannot_have_is_refused_before_anything_is_written(to: str) -> None:
    result, fake = await send(to=to)
    assert (result.outcome, result.fault, result.detail) == ("rejected", "address", "unusable_address")
    assert fake.bodies == []


async def test_an_account_answers_to_its_own_name_and_to_no_other() -> None:
    assert (await send(name="acme", to="acme:C024BE91L"))[0].outcome == "accepted"
    for to in ("slack:C024BE91L", "telegram:123"):  # the first is of another workspace
        other, fake = await send(name="acme", to=to)
        assert (other.outcome, other.fault, other.detail) == ("rejected", None, "address_of_another_adapter")
        assert fake.bodies == []


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_SLACK__KEY is not set"):
        create_chat_adapter("slack", {})
    with pytest.raises(SettingsError, match="TACTFUL_SLACK__POSTS is not set"):
        create_chat_adapter("slack", {"key": SETTINGS["key"]}, channels=frozenset({"social"}))
    create_chat_adapter("slack", {"key": SETTINGS["key"]}, channels=frozenset({"chat"}))
    with pytest.raises(SettingsError, match="TACTFUL_SLACK__URL"):
        create_chat_adapter("slack", {**SETTINGS, "url": "http://169.254.169.254"})


def test_doctor_looks_at_the_token_and_the_place_of_posts() -> None:
    assert DECLARATION.check(SlackSettings()).remedy == "set TACTFUL_SLACK__KEY"
    assert "xoxb-" in (DECLARATION.check(SlackSettings.model_validate({"key": "xoxp-0123456789abcdef"})).remedy or "")
    assert "no posts" in DECLARATION.check(SlackSettings.model_validate({"key": SETTINGS["key"]})).detail
    found = DECLARATION.check(SlackSettings.model_validate(SETTINGS))
    assert found.remedy is None and SETTINGS["key"] not in found.detail


def test_the_key_is_masked() -> None:
    assert SETTINGS["key"] not in repr(chat_context("slack", SETTINGS))

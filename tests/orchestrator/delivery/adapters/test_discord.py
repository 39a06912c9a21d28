"""The adapter `discord`: its embeds, by bot and by webhook, and what each answer means."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.discord.adapter import MEANINGS, as_nonce
from services.orchestrator.delivery.adapters.discord.declaration import DECLARATION, DiscordSettings
from services.orchestrator.delivery.adapters.discord.embed import escape
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

TOKEN = "a-token_of-a-webhook-0123456789"
HOOKS = json.dumps({"news": f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}"})
CHANNEL = "987654321098765432"
SETTINGS = {"key": "key-of-a-bot-0000001", "posts": CHANNEL}
ADDRESSES = {"chat": "discord:news"}
TAKEN = {"id": "1111111111111111111", "channel_id": CHANNEL}


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with chat_under_contract("discord", {**SETTINGS, "webhooks": HOOKS}, answering(200, TAKEN)) as adapter:
        yield adapter


async def send(
    answer: Any = None, settings: dict[str, Any] | None = None, **how: Any
) -> tuple[HandoverResult, ChatFake]:
    taken = answer or answering(200, TAKEN)
    return await send_chat("discord", settings or SETTINGS, taken, **{"to": f"discord:{CHANNEL}", **how})


async def test_a_bot_writes_to_a_channel_with_a_nonce() -> None:
    result, fake = await send(content=dict(FULL))
    assert (result.outcome, result.provider_id) == ("accepted", TAKEN["id"])
    [body], [headers] = fake.bodies, fake.headers
    assert fake.paths == [f"/channels/{CHANNEL}/messages"]
    assert headers["authorization"] == f"Bot {SETTINGS['key']}" and headers["user-agent"].startswith("DiscordBot (")
    assert body["nonce"] == as_nonce("msg_1") and len(body["nonce"]) == 25 and body["enforce_nonce"] is True
    assert body["allowed_mentions"] == {"parse": []}
    [embed] = body["embeds"]
    assert embed["color"] == 0xC62828 and embed["image"] == {"url": FULL["image"]}
    assert embed["fields"][0] == {"name": "Order", "value": "7 & \\<8\\>", "inline": True}
    assert "<https://status.example/a_b*c>, thanks" in embed["description"]
    assert [each["url"] for each in body["components"][0]["components"]] == [FULL["link"], FULL["second_link"]]
    assert_fits(body)


async def test_a_webhook_is_named_and_its_url_stays_in_the_settings() -> None:
    result, fake = await send(settings={"webhooks": HOOKS}, to="discord:news")
    assert result.outcome == "accepted"
    assert fake.paths == [f"/webhooks/123456789012345678/{TOKEN}?wait=true&with_components=true"]
    assert "authorization" not in fake.headers[0] and "nonce" not in fake.bodies[0]
    assert TOKEN not in repr(result) + repr(chat_context("discord", {"webhooks": HOOKS}))


def assert_fits(body: dict[str, Any]) -> None:
    """What Discord documents of an embed."""
    for embed in body["embeds"]:
        fields = embed.get("fields", [])
        assert 0 < len(embed["description"]) <= 4096 and len(embed.get("title", "")) <= 256 and len(fields) <= 25
        assert all(0 < len(each["name"]) <= 256 and 0 < len(each["value"]) <= 1024 for each in fields)
        words = [embed["description"], embed.get("title", ""), *(each["name"] + each["value"] for each in fields)]
        assert sum(map(len, words)) <= 6000
    for row in body.get("components", []):
        assert len(row["components"]) <= 5
        assert all(len(each["label"]) <= 80 and len(each["url"]) <= 512 for each in row["components"])


async def test_the_longest_message_keeps_discords_limits() -> None:
    facts = json.dumps({f"*{number}*": "*" * 80 for number in range(6)})
    _, fake = await send(content={"title": "_" * 128, "text": "*" * 2000, "facts": facts})
    assert_fits(fake.bodies[0])


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b_c *d* ~~e~~ `f` ||g||", r"a\_b\_c \*d\* \~\~e\~\~ \`f\` \|\|g\|\|"),
        ("<@123> <@&5> <#6> <:x:1>", r"\<@123\> \<@&5\> \<#6\> \<:x:1\>"),
        ("[x](https://evil.example)", "\\[x\\]\\(<https://evil.example>\\)"),
        ("# a\n- b\n1. c\n> d\n-# e\n5 - 3", "\\# a\n\\- b\n1\\. c\n\\> d\n\\-# e\n5 - 3"),
        ("back\\slash", "back\\\\slash"),
        ("https://a.example/x_y_z.", "<https://a.example/x_y_z>."),
        ("مرحبا 👨‍👩‍👧", "مرحبا 👨‍👩‍👧"),
    ],
)
def test_markdown_is_escaped_and_links_stay(text: str, written: str) -> None:
    assert escape(text) == written


async def test_no_value_becomes_markup_or_a_mention() -> None:
    _, fake = await send(content={"title": EVIL[:60], "text": EVIL, "facts": json.dumps({"Said": EVIL})})
    [body] = fake.bodies
    assert body["allowed_mentions"] == {"parse": []} and "content" not in body
    text = re.sub(r"\\.|<https://[^>]*>", "", body["embeds"][0]["description"])
    assert not set(text) & set("*_~`|<>[]()\\")


def refusal(code: int) -> dict[str, Any]:
    return {"message": "Unknown", "code": code}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *(
        (404, refusal(int(row.code)), row.outcome, row.fault, row.code)
        for row in MEANINGS
        if row.code and row.code != "0"
    ),
    (429, {"message": "blocked", "code": 0}, "retry", "throttle", "0"),
    (401, refusal(0), "retry", "account", "0"),
    (400, refusal(99999), "rejected", "content", "99999"),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        ({"retry_after": 64.57, "global": False}, {}, 64.57),
        ({"retry_after": 0.2}, {"retry-after": "3"}, 3.0),
        ({"retry_after": 65}, {"retry-after": "60"}, 65.0),
        ({"retry_after": "soon"}, {}, None),
        ({"retry_after": True}, {}, None),
        ({"retry_after": 1e300}, {}, None),
        ({"message": "blocked", "code": 0}, {}, 3600.0),
        ("<html>", {}, None),
    ],
)
async def test_discord_says_in_body_and_header_how_long_to_wait(
    body: Any, headers: dict[str, str], wait: float | None
) -> None:
    result, _ = await send(answering(429, body, headers))
    assert (result.outcome, result.fault, result.retry_after) == ("retry", "throttle", wait)


@pytest.mark.parametrize("code", [10003, 10013, 10015, 50007])
async def test_a_deleted_place_is_a_dead_address_but_not_of_a_post(code: int) -> None:
    assert (await send(answering(404, refusal(code))))[0].fault == "address"
    post, _ = await send(answering(404, refusal(code)), channel="social", to="community")
    assert (post.outcome, post.fault) == ("rejected", None)


@pytest.mark.parametrize("code", [50001, 50013, 50027])
async def test_what_can_be_mended_in_the_settings_is_held_against_no_address(code: int) -> None:
    refused, _ = await send(answering(403, refusal(code)))
    assert (refused.outcome, refused.fault) == ("rejected", None)


@pytest.mark.parametrize(
    ("settings", "to", "fault", "detail"),
    [
        (SETTINGS, "discord:12345", "address", "unusable_address"),
        (SETTINGS, "discord:news", None, "unknown_webhook"),
        ({"webhooks": HOOKS}, f"discord:{CHANNEL}", None, "no_bot"),
        ({"webhooks": HOOKS}, "discord:other", None, "unknown_webhook"),
    ],
)
async def test_a_place_that_cannot_be_reached_is_refused_before_anything_is_written(
    settings: dict[str, Any], to: str, fault: str | None, detail: str
) -> None:
    result, fake = await send(settings=settings, to=to)
    assert (result.outcome, result.fault, result.detail) == ("rejected", fault, detail)
    assert fake.bodies == []


def test_messages_are_taken_once_only_where_a_bot_alone_sends() -> None:
    assert create_chat_adapter("discord", SETTINGS).idempotent
    assert not create_chat_adapter("discord", {"webhooks": HOOKS}).idempotent
    assert not create_chat_adapter("discord", {**SETTINGS, "webhooks": HOOKS}).idempotent
    assert DECLARATION.remembers_for == 120.0
    assert as_nonce("msg_1") == as_nonce("msg_1") != as_nonce("msg_2")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_DISCORD__KEY or TACTFUL_DISCORD__WEBHOOKS must be set"):
        create_chat_adapter("discord", {})
    with pytest.raises(SettingsError, match="TACTFUL_DISCORD__POSTS is not set"):
        create_chat_adapter("discord", {"webhooks": HOOKS}, channels=frozenset({"chat", "social"}))
    assert DECLARATION.check(DiscordSettings()).remedy == "set TACTFUL_DISCORD__KEY or __WEBHOOKS"
    found = DECLARATION.check(DiscordSettings.model_validate({"webhooks": HOOKS}))
    assert found.remedy is None and TOKEN not in found.detail and "no posts" in found.detail


@pytest.mark.parametrize(
    "url",
    [
        f"http://discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://discord.com.evil.example/api/webhooks/123456789012345678/{TOKEN}",
        f"https://user@discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://discord.com/api/webhooks/1/{TOKEN}",
        f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}/../x",
        "https://discord.com/api/webhooks/123456789012345678/",
        "news",
    ],
)
def test_urls_that_are_no_webhooks_are_refused_at_start_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DiscordSettings.model_validate({"webhooks": json.dumps({"news": url})})
    assert "`news` is no webhook" in str(caught.value) and TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"a b": "x"}', '{"1": "x"}', '{"a": 1}'])
def test_webhooks_that_are_no_names_and_urls_are_refused_at_start(text: str) -> None:
    with pytest.raises(ValidationError):
        DiscordSettings.model_validate({"webhooks": text})

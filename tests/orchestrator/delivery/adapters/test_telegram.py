"""The adapter `telegram`: its messages, and what each answer means."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.telegram.adapter import MEANINGS, WORDS
from services.orchestrator.delivery.adapters.telegram.declaration import DECLARATION, TelegramSettings
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

TOKEN = "123456789:AAF-token_of_a_bot_0123456789abcdef"
SETTINGS = {"key": TOKEN, "posts": "@shop_news"}
ADDRESSES = {"chat": "telegram:4815162342"}
TAKEN = {"ok": True, "result": {"message_id": 365, "chat": {"id": 4815162342}}}


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with chat_under_contract("telegram", SETTINGS, answering(200, TAKEN)) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, ChatFake]:
    return await send_chat("telegram", SETTINGS, answer or answering(200, TAKEN), **{"to": ADDRESSES["chat"], **how})


class Words(HTMLParser):
    """The text that Telegram's parser reads, and its tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not attrs
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_a_request_holds_all_parts_of_a_message() -> None:
    result, fake = await send(content=dict(FULL))
    assert (result.outcome, result.provider_id) == ("accepted", "365")
    [body] = fake.bodies
    assert fake.paths == [f"/bot{TOKEN}/sendMessage"]
    assert (body["chat_id"], body["parse_mode"]) == (4815162342, "HTML")
    read = Words(body["text"])
    assert read.tags == {"b"}
    assert read.text == f"\U0001f6a8 {FULL['title']}\n\n{FULL['text']}\n\nOrder: 7 & <8>\nWhen: today"
    assert body["link_preview_options"]["url"] == FULL["image"]
    rows = body["reply_markup"]["inline_keyboard"]
    assert [each["url"] for [each] in rows] == [FULL["link"], FULL["second_link"]]


async def test_only_the_text_is_needed_and_no_preview_is_loaded_for_it() -> None:
    _, fake = await send(content={"text": "Hello"})
    assert fake.bodies[0]["text"] == "Hello" and fake.bodies[0]["link_preview_options"] == {"is_disabled": True}
    assert "reply_markup" not in fake.bodies[0]


async def test_no_value_becomes_markup() -> None:
    _, fake = await send(content={"title": EVIL[:60], "text": EVIL, "facts": json.dumps({"Said": EVIL})})
    read = Words(fake.bodies[0]["text"])
    assert read.tags == {"b"} and read.text == f"{EVIL[:60]}\n\n{EVIL}\n\nSaid: {EVIL}"


async def test_the_longest_message_keeps_telegrams_limit() -> None:
    _, fake = await send(content={"title": "<" * 128, "text": "&" * 2000, "facts": json.dumps({"y": "z" * 200})})
    assert len(Words(fake.bodies[0]["text"]).text.encode("utf-16-le")) // 2 <= 4096


async def test_a_post_goes_to_the_channel_of_the_settings() -> None:
    result, fake = await send(channel="social", to="community")
    assert result.outcome == "accepted" and fake.bodies[0]["chat_id"] == "@shop_news"


def refusal(status: int, description: str, **parameters: Any) -> dict[str, Any]:
    return {"ok": False, "error_code": status, "description": description, "parameters": parameters}


DEAD = [
    (400, "Bad Request: chat not found", "chat_not_found"),
    (403, "Forbidden: bot was blocked by the user", "bot_blocked"),
    (403, "Forbidden: user is deactivated", "user_deactivated"),
    (403, "Forbidden: bot was kicked from the supergroup chat", "bot_kicked"),
    (403, "Forbidden: bot is not a member of the channel chat", "not_a_member"),
    (403, "Forbidden: bot can't initiate conversation with a user", "not_started"),
    (400, "Bad Request: group chat was upgraded to a supergroup chat", "chat_upgraded"),
    (403, "Forbidden: the group chat was deleted", "chat_deleted"),
    (400, "Bad Request: PEER_ID_INVALID", "peer_id_invalid"),
    (403, "Forbidden: something new", ""),
]
ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((status, refusal(status, words), "rejected", "address", code) for status, words, code in DEAD),
    (400, refusal(400, "Bad Request: not enough rights to send text"), "rejected", None, "not_enough_rights"),
    (400, refusal(400, "Bad Request: message is too long"), "rejected", "content", ""),
    (401, refusal(401, "Unauthorized"), "retry", "account", ""),
    (404, refusal(404, "Not Found"), "retry", "account", ""),
    (409, refusal(409, "Conflict"), "retry", "account", ""),
    *COMMON_ANSWERS,
]
assert COMMON_ANSWERS.index((403, "", "retry", "account", "")) >= 0
ANSWERS.remove((403, "", "retry", "account", ""))


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) | set(WORDS.values()) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("parameters", "headers", "wait"),
    [
        ({"retry_after": 7}, {}, 7.0),
        ({"retry_after": 100_000}, {}, 3600.0),
        ({"retry_after": 3}, {"retry-after": "9"}, 9.0),
        ({"retry_after": -1}, {}, None),
        ({}, {}, None),
    ],
)
async def test_telegram_says_in_the_body_how_long_to_wait(
    parameters: dict[str, Any], headers: dict[str, str], wait: float | None
) -> None:
    result, _ = await send(answering(429, refusal(429, "Too Many Requests", **parameters), headers))
    assert (result.outcome, result.fault, result.retry_after) == ("retry", "throttle", wait)


@pytest.mark.parametrize("body", ['{"parameters": 5}', "[]", '"x"', "{"])
async def test_an_answer_of_another_form_says_nothing(body: str) -> None:
    assert (await send(answering(429, body)))[0].retry_after is None
    assert (await send(answering(200, body)))[0].provider_id is None


@pytest.mark.parametrize("to", ["telegram:+49151", "telegram:@a", "telegram:me", "telegram:1234567890123456789"])
async def test_a_place_that_telegram_cannot_have_is_refused_before_anything_is_written(to: str) -> None:
    result, fake = await send(to=to)
    assert (result.outcome, result.fault, result.detail) == ("rejected", "address", "unusable_address")
    assert fake.bodies == []


async def test_no_result_and_no_setting_shows_the_token() -> None:
    secret = TOKEN.partition(":")[2]
    for status in (200, 401, 500):
        assert secret not in repr((await send(answering(status, "")))[0])
    assert secret not in repr(chat_context("telegram", SETTINGS))
    assert re.search(r"telegram, at https", DECLARATION.check(TelegramSettings.model_validate(SETTINGS)).detail)


def test_what_is_missing_or_wrong_is_named() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_TELEGRAM__KEY is not set"):
        create_chat_adapter("telegram", {})
    with pytest.raises(SettingsError, match="TACTFUL_TELEGRAM__POSTS is not set"):
        create_chat_adapter("telegram", {"key": TOKEN}, channels=frozenset({"social"}))
    assert DECLARATION.check(TelegramSettings()).remedy == "set TACTFUL_TELEGRAM__KEY"
    assert "no posts" in DECLARATION.check(TelegramSettings.model_validate({"key": TOKEN})).detail
    for wrong in ({"key": "no-token-of-a-bot-at-all"}, {"posts": "shop_news"}):
        with pytest.raises(ValidationError):
            TelegramSettings.model_validate(wrong)

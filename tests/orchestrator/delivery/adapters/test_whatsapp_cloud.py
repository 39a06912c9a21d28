"""The adapter `whatsapp_cloud`: its requests, and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.text_api import OUTCOMES
from services.orchestrator.delivery.adapters.whatsapp_cloud.adapter import MEANINGS
from services.orchestrator.delivery.adapters.whatsapp_cloud.declaration import DECLARATION, WhatsappCloudSettings
from services.orchestrator.delivery.adapters.whatsapp_cloud.error_codes import ERROR_CODES
from tests.support.mail_api_fake import (
    KEY,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    contract_adapter,
)
from tests.support.mail_api_fake import send as send_to_fake
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

NUMBER, NUMBER_ID = "+4915112345678", "106540352242922"
WAMID = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA"
ACCOUNT = ProviderAccount(
    id="whatsapp_cloud",
    path=f"/v24.0/{NUMBER_ID}/messages",
    authorization=("authorization", f"Bearer {KEY}"),
    required=frozenset({"messaging_product", "to", "type"}),
    accepts=lambda: web.json_response(
        {"messaging_product": "whatsapp", "contacts": [{"input": NUMBER}], "messages": [{"id": WAMID}]}
    ),
    settings={"phone_number_id": NUMBER_ID},
)
TEMPLATE = {"template": "order_shipped", "language": "de", "text": "Hallo Ada"}


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, MailApiFake]:
    """One message, and what Meta got."""
    fields = {"channel": "whatsapp", "to": NUMBER, "content": {"text": "Grüße *Ada*\n2"}, **how}
    return await send_to_fake(ACCOUNT, answer, **fields)


async def test_free_text_is_sent_as_it_is() -> None:
    result, fake = await send()
    assert (result.outcome, result.provider_id, result.detail) == ("accepted", WAMID, "status 200")
    assert fake.bodies == [
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": NUMBER,
            "biz_opaque_callback_data": "msg_1",
            "type": "text",
            "text": {"body": "Grüße *Ada*\n2"},
        }
    ]


@pytest.mark.parametrize(
    ("content", "components"),
    [
        ({}, None),
        (
            {"header_parameter": "A-1", "body_parameters": '["Ada","5 €"]'},
            [
                {"type": "header", "parameters": [{"type": "text", "text": "A-1"}]},
                {"type": "body", "parameters": [{"type": "text", "text": "Ada"}, {"type": "text", "text": "5 €"}]},
            ],
        ),
        (
            {"body_parameters": '{"name":"Ada"}'},
            [{"type": "body", "parameters": [{"type": "text", "parameter_name": "name", "text": "Ada"}]}],
        ),
        (
            {"header_media": "image", "header_link": "https://x.example/a.png"},
            [{"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.example/a.png"}}]}],
        ),
        (
            {"button_parameters": '{"url/0":"a","quick_reply/1":"b","copy_code/2":"c"}'},
            [
                {
                    "type": "button",
                    "sub_type": kind,
                    "index": place,
                    "parameters": [{"type": type, type: text}],
                }
                for kind, place, type, text in (
                    ("url", "0", "text", "a"),
                    ("quick_reply", "1", "payload", "b"),
                    ("copy_code", "2", "coupon_code", "c"),
                )
            ],
        ),
    ],
)
async def test_a_template_is_sent_with_its_parameters(content: dict[str, str], components: Any) -> None:
    result, fake = await send(content={**TEMPLATE, **content})
    assert result.outcome == "accepted"
    (request,) = fake.bodies
    expected = {"name": "order_shipped", "language": {"code": "de"}}
    assert request["template"] == (expected if components is None else {**expected, "components": components})
    assert request["type"] == "template" and "text" not in request


@pytest.mark.parametrize(
    ("cls", "content", "good"),
    [
        ("marketing", TEMPLATE, True),
        ("transactional", TEMPLATE, False),
        ("marketing", {"text": "Hi"}, False),
    ],
)
async def test_advertising_goes_where_meta_wants_it(cls: str, content: dict[str, str], good: bool) -> None:
    result, fake = await send(content=content, cls=cls, settings={"marketing_path": "marketing_messages"})
    assert (result.detail == "status 404") is good  # the fake has the other path alone
    result, fake = await send(content=content, cls=cls)
    assert result.outcome == "accepted" and len(fake.bodies) == 1


def refusal(code: object) -> dict[str, Any]:
    error = {"message": f"(#{code}) {NUMBER}", "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return {"error": {**error, "error_data": {"messaging_product": "whatsapp", "details": NUMBER}}}


OTHERS: list[tuple[int, Any, str, str | None, str]] = [
    (400, refusal(131056), "retry", None, "131056"),
    (400, refusal(132015), "retry", None, "132015"),
    (400, refusal(131000), "unknown", None, "131000"),
    (400, refusal(131016), "unknown", None, "131016"),
    (400, refusal(135000), "unknown", None, "135000"),
    (500, refusal(131000), "unknown", None, "131000"),
    (400, refusal(99999), "rejected", "content", "99999"),
    (400, refusal(NUMBER), "rejected", "content", ""),
    (400, refusal([1]), "rejected", "content", ""),
    (401, refusal(None), "retry", "account", ""),
]
ANSWERS = [
    *((400, refusal(int(code)), *OUTCOMES[meaning], code) for code, meaning in ERROR_CODES.items()),
    *OTHERS,
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")
    assert NUMBER not in repr(result)


@pytest.mark.parametrize(
    ("code", "outcome", "fault", "wait"),
    [
        (131047, "rejected", "content", None),
        (131026, "rejected", "content", None),
        (131049, "rejected", "content", None),
        (131050, "rejected", "content", None),
        (132001, "rejected", "content", None),
        (190, "retry", "account", None),
        (200, "retry", "account", None),
        (299, "retry", "account", None),
        (131042, "retry", "account", None),
        (130429, "retry", "throttle", None),
        (131056, "retry", None, 6.0),
        (132015, "retry", None, 3600.0),
    ],
)
async def test_the_codes_that_matter_most(code: int, outcome: str, fault: str | None, wait: float | None) -> None:
    result, _ = await send(answering(400, refusal(code)))
    assert (result.outcome, result.fault, result.retry_after) == (outcome, fault, wait)


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("fields", "detail", "fault"),
    [
        ({"to": ""}, "unusable_address", "address"),
        ({"to": "whatsapp:+4915112345678"}, "unusable_address", "address"),
        ({"content": {}}, "incomplete_content", "content"),
        ({"content": {"text": "\ud800"}}, "not_unicode", "content"),
        ({"content": {**TEMPLATE, "body_parameters": "["}}, "unreadable_parameters", "content"),
        ({"content": {**TEMPLATE, "button_parameters": "7"}}, "unreadable_parameters", "content"),
    ],
)
async def test_what_no_provider_may_get_is_not_sent(fields: dict[str, Any], detail: str, fault: str) -> None:
    result, fake = await send(**fields)
    assert (result.outcome, result.detail, result.fault) == ("rejected", detail, fault)
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key": None}, "TACTFUL_WHATSAPP_CLOUD__KEY is not set"),
        ({"phone_number_id": None}, "TACTFUL_WHATSAPP_CLOUD__PHONE_NUMBER_ID is not set"),
    ],
)
def test_what_is_missing_is_named(settings: Mapping[str, Any], words: str) -> None:
    given = context(ACCOUNT, "https://api.example", **settings)
    with pytest.raises(SettingsError, match=words):
        adapter_module(ACCOUNT).create_adapter(given)
    assert DECLARATION.check(given.settings).remedy is not None


def test_receipts_need_the_secret_of_the_app_and_the_token_that_meta_shows() -> None:
    given = context(ACCOUNT, "https://api.example", app_secret="a-secret-of-the-app-0001").settings
    assert DECLARATION.check(given).detail == "whatsapp_cloud, at https://api.example"
    assert DECLARATION.missing_for_receipts(given) == ("verify_token",)


@pytest.mark.parametrize(
    "settings",
    [
        {"phone_number_id": "1/../2"},
        {"version": "24"},
        {"version": "v24.0/x"},
        {"marketing_path": "other"},
        {"app_secret": "short"},
    ],
)
def test_settings_that_change_the_path_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WhatsappCloudSettings.model_validate(settings)

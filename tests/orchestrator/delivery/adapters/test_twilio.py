"""The adapter `twilio`: requests as its OpenAPI document wants them, and what each answer means."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.text_api import OUTCOMES
from services.orchestrator.delivery.adapters.twilio.adapter import MEANINGS
from services.orchestrator.delivery.adapters.twilio.declaration import DECLARATION, TwilioSettings
from services.orchestrator.delivery.adapters.twilio.error_codes import ERROR_CODES
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

ACCOUNT_SID = "AC" + "0a" * 16
SERVICE_SID = "MG" + "0b" * 16
RECEIPTS = "https://shop.example/v1/receipts/twilio"
NUMBER = "+4915112345678"
ACCOUNT = ProviderAccount(
    id="twilio",
    path=f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
    authorization=("authorization", "Basic " + base64.b64encode(f"{ACCOUNT_SID}:{KEY}".encode()).decode()),
    required=frozenset({"To"}),
    accepts=lambda: web.json_response(
        {"sid": "SM" + "1" * 32, "status": "queued", "error_code": None, "to": NUMBER}, status=201
    ),
    settings={"account_sid": ACCOUNT_SID, "sender": "+15017122661", "whatsapp_sender": "+14155238886"},
)
DOCUMENT = json.loads(
    (Path(__file__).parents[3] / "contracts" / "providers" / "twilio-messages.json").read_text("utf-8")
)
SCHEMA = jsonschema_rs.Draft202012Validator(DOCUMENT, validate_formats=True)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, MailApiFake]:
    """One text, and what Twilio got."""
    fields = {"channel": "sms", "to": NUMBER, "content": {"text": "Grüße & mehr: 5+5 €"}, **how}
    return await send_to_fake(ACCOUNT, answer, **fields)


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, {"From": "+15017122661"}),
        ({"sender": "Shop & Co"}, {"From": "Shop & Co"}),
        ({"sender": "24680"}, {"From": "24680"}),
        ({"senders": '{"DE": "Shop"}'}, {"From": "Shop"}),
        ({"sender": None, "messaging_service_sid": SERVICE_SID}, {"MessagingServiceSid": SERVICE_SID}),
        ({"messaging_service_sid": SERVICE_SID}, {"From": "+15017122661", "MessagingServiceSid": SERVICE_SID}),
        (
            {"receipts_url": RECEIPTS},
            {"From": "+15017122661", "StatusCallback": f"{RECEIPTS}?tactful_message=msg_1"},
        ),
    ],
)
async def test_a_request_is_as_the_document_of_the_api_wants_it(
    settings: Mapping[str, Any], sent: dict[str, str]
) -> None:
    result, fake = await send(settings=settings)
    assert (result.outcome, result.provider_id, result.detail) == ("accepted", "SM" + "1" * 32, "status 201")
    (form,) = fake.bodies
    assert form == {"To": NUMBER, "Body": "Grüße & mehr: 5+5 €", **sent}
    assert [error.message for error in SCHEMA.iter_errors(form)] == []
    assert form.keys() <= DOCUMENT["properties"].keys()


CONTENT_SID, OTHER_SID = "HX" + "0d" * 16, "HX" + "0e" * 16
SIDS = json.dumps({"order_shipped/de": CONTENT_SID, "order_shipped": OTHER_SID})
TEMPLATE = {"template": "order_shipped", "language": "de", "text": "Hallo Ada"}
ON_WHATSAPP = {"To": f"whatsapp:{NUMBER}", "From": "whatsapp:+14155238886"}


@pytest.mark.parametrize(
    ("content", "settings", "sent"),
    [
        ({"text": "Grüße\n2"}, {}, {**ON_WHATSAPP, "Body": "Grüße\n2"}),
        (
            {"text": "Hi"},
            {"whatsapp_sender": None, "messaging_service_sid": SERVICE_SID},
            {"To": f"whatsapp:{NUMBER}", "MessagingServiceSid": SERVICE_SID, "Body": "Hi"},
        ),
        (
            {"text": "Hi"},
            {"receipts_url": RECEIPTS},
            {**ON_WHATSAPP, "Body": "Hi", "StatusCallback": f"{RECEIPTS}?tactful_message=msg_1"},
        ),
        (TEMPLATE, {"content_sids": SIDS}, {**ON_WHATSAPP, "ContentSid": CONTENT_SID}),
        ({**TEMPLATE, "language": "en"}, {"content_sids": SIDS}, {**ON_WHATSAPP, "ContentSid": OTHER_SID}),
        (
            {**TEMPLATE, "template": CONTENT_SID, "body_parameters": '["Ada","5 €"]'},
            {},
            {**ON_WHATSAPP, "ContentSid": CONTENT_SID, "ContentVariables": '{"1": "Ada", "2": "5 €"}'},
        ),
        (
            {
                **TEMPLATE,
                "header_parameter": "A",
                "body_parameters": '["Ada"]',
                "button_parameters": '{"url/1":"y","quick_reply/0":"x"}',
            },
            {"content_sids": SIDS},
            {
                **ON_WHATSAPP,
                "ContentSid": CONTENT_SID,
                "ContentVariables": '{"1": "Ada", "2": "A", "3": "x", "4": "y"}',
            },
        ),
        (
            {**TEMPLATE, "body_parameters": '{"name":"Ada"}'},
            {"content_sids": SIDS},
            {**ON_WHATSAPP, "ContentSid": CONTENT_SID, "ContentVariables": '{"name": "Ada"}'},
        ),
    ],
)
async def test_a_message_on_whatsapp_is_as_the_document_of_the_api_wants_it(
    content: dict[str, str], settings: Mapping[str, Any], sent: dict[str, str]
) -> None:
    result, fake = await send(settings=settings, channel="whatsapp", content=content)
    assert (result.outcome, result.provider_id) == ("accepted", "SM" + "1" * 32)
    (form,) = fake.bodies
    assert form == sent
    assert [error.message for error in SCHEMA.iter_errors(form)] == []
    assert form.keys() <= DOCUMENT["properties"].keys()


@pytest.mark.parametrize(
    ("fields", "settings", "outcome", "detail", "fault"),
    [
        ({"content": TEMPLATE}, {}, "rejected", "no_content_sid", "content"),
        ({"content": {"text": "x" * 1601}}, {}, "rejected", "too_long", "content"),
        (
            {"content": {**TEMPLATE, "body_parameters": "["}},
            {"content_sids": SIDS},
            "rejected",
            "unreadable_parameters",
            "content",
        ),
        ({}, {"whatsapp_sender": None}, "retry", "no_whatsapp_sender", "account"),
        ({"channel": "sms"}, {"sender": None}, "retry", "no_sender", "account"),
    ],
)
async def test_what_lacks_something_is_not_sent(
    fields: dict[str, Any], settings: Mapping[str, Any], outcome: str, detail: str, fault: str
) -> None:
    result, fake = await send(**{"settings": settings, "channel": "whatsapp", **fields})
    assert (result.outcome, result.detail, result.fault) == (outcome, detail, fault)
    assert fake.bodies == []


async def test_the_document_refuses_other_requests() -> None:
    _, fake = await send(settings={"messaging_service_sid": SERVICE_SID})
    (form,) = fake.bodies
    assert not SCHEMA.is_valid({name: value for name, value in form.items() if name != "To"})
    assert not SCHEMA.is_valid({**form, "MessagingServiceSid": "MG1"})
    assert not SCHEMA.is_valid({**form, "StatusCallback": "no address"})


async def test_an_api_key_signs_in_with_its_own_id() -> None:
    key_sid = "SK" + "0c" * 16
    result, _ = await send(settings={"key_sid": key_sid})
    assert (result.outcome, result.fault) == ("retry", "account")  # the fake wants the account's own token
    async with contract_adapter(ACCOUNT):
        made = adapter_module(ACCOUNT).create_adapter(context(ACCOUNT, "https://api.example", key_sid=key_sid))
    expected = base64.b64encode(f"{key_sid}:{KEY}".encode()).decode()
    assert made._api.authorization == {"authorization": f"Basic {expected}"}
    await made.close()


def refusal(code: object) -> dict[str, Any]:
    return {"code": code, "message": f"The 'To' number {NUMBER} is not valid", "more_info": "https://", "status": 400}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((400, refusal(int(code)), *OUTCOMES[meaning], code) for code, meaning in ERROR_CODES.items()),
    (400, refusal(99999), "rejected", "content", "99999"),
    (400, refusal(None), "rejected", "content", ""),
    (400, refusal(NUMBER), "rejected", "content", ""),
    (400, {"code": ["21211"]}, "rejected", "content", ""),
    (401, refusal(20003), "retry", "account", "20003"),
    (403, refusal(21408), "retry", "account", "21408"),
    (404, refusal(20404), "retry", "account", "20404"),
    (429, refusal(20429), "retry", "throttle", "20429"),
    (500, refusal(20500), "unknown", None, "20500"),
    (503, refusal(20503), "unknown", None, "20503"),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")
    assert NUMBER not in repr(result)


@pytest.mark.parametrize(
    ("code", "outcome", "fault"),
    [
        (21211, "rejected", "address"),
        (21614, "rejected", "address"),
        (21610, "rejected", "unsubscribed"),
        (21617, "rejected", "content"),
        (21606, "retry", "account"),
        (20003, "retry", "account"),
        (20429, "retry", "throttle"),
    ],
)
async def test_the_codes_that_matter_most(code: int, outcome: str, fault: str) -> None:
    result, _ = await send(answering(400, refusal(code)))
    assert (result.outcome, result.fault) == (outcome, fault)


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("header", "wait"), [("7", 7.0), ("0.2", 1.0), ("99999", 3600.0), ("soon", None), (None, None)]
)
async def test_a_throttled_message_waits_as_long_as_twilio_asks(header: str | None, wait: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    result, _ = await send(answering(429, refusal(20429), headers))
    assert (result.outcome, result.fault, result.retry_after) == ("retry", "throttle", wait)


async def test_without_an_answer_nobody_knows() -> None:
    async def close(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    result, fake = await send(close)
    assert (result.outcome, len(fake.bodies)) == ("unknown", 1)


@pytest.mark.parametrize(
    ("fields", "detail", "fault"),
    [
        ({"to": ""}, "unusable_address", "address"),
        ({"to": "+49 151"}, "unusable_address", "address"),
        ({"to": "whatsapp:+4915112345678"}, "unusable_address", "address"),
        ({"to": f"{NUMBER},{NUMBER}"}, "unusable_address", "address"),
        ({"content": {}}, "incomplete_content", "content"),
        ({"content": {"text": ""}}, "incomplete_content", "content"),
        ({"content": {"text": "\ud800"}}, "not_unicode", "content"),
    ],
)
async def test_what_no_provider_may_get_is_not_sent(fields: dict[str, Any], detail: str, fault: str) -> None:
    result, fake = await send(**fields)
    assert (result.outcome, result.detail, result.fault) == ("rejected", detail, fault)
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"account_sid": None}, "TACTFUL_TWILIO__ACCOUNT_SID is not set"),
        ({"key": None}, "TACTFUL_TWILIO__KEY is not set"),
        (
            {"sender": None, "whatsapp_sender": None},
            "TACTFUL_TWILIO__SENDER or TACTFUL_TWILIO__MESSAGING_SERVICE_SID must be set",
        ),
    ],
)
def test_what_is_missing_is_named(settings: dict[str, Any], words: str) -> None:
    given = context(ACCOUNT, "https://api.example", **settings)
    with pytest.raises(SettingsError, match=words):
        adapter_module(ACCOUNT).create_adapter(given)
    assert DECLARATION.check(given.settings).remedy is not None


def test_receipts_need_the_auth_token_where_the_key_is_another_one() -> None:
    def missing(**settings: Any) -> tuple[str, ...]:
        return DECLARATION.missing_for_receipts(context(ACCOUNT, "https://api.example", **settings).settings)

    by_key = {"key_sid": "SK" + 32 * "0", "receipts_url": "https://shop.example/v1/receipts/twilio"}
    assert missing(**by_key) == ("auth_token",)
    assert missing(**by_key, auth_token="the-auth-token-00001") == missing(**{**by_key, "key_sid": None}) == ()


def test_doctor_says_where_it_sends() -> None:
    found = DECLARATION.check(context(ACCOUNT, "https://api.example").settings)
    assert (found.detail, found.remedy) == ("twilio, at https://api.example", None)


@pytest.mark.parametrize(
    "settings",
    [
        {"account_sid": "AC1"},
        {"account_sid": ACCOUNT_SID + "/.."},
        {"key_sid": ACCOUNT_SID},
        {"messaging_service_sid": "MG1"},
        {"sender": "A sender of more"},
        {"sender": "+49 151"},
        {"sender": "12"},
        {"sender": "---"},
        {"whatsapp_sender": "whatsapp:+14155238886"},
        {"whatsapp_sender": "Shop"},
        {"content_sids": "x"},
        {"content_sids": "[]"},
        {"content_sids": '{"order_shipped": "HX1"}'},
        {"receipts_url": "http://shop.example/v1/receipts/twilio"},
        {"receipts_url": "https://a_b.example/v1/receipts/twilio"},
        {"receipts_url": "https://user@shop.example/v1/receipts/twilio"},
        {"receipts_url": f"{RECEIPTS}?a=b"},
        {"receipts_url": f"{RECEIPTS}#a"},
        {"receipts_url": "https:///v1"},
        {"receipts_url": "https://shop.example:99999/"},
    ],
)
def test_settings_that_twilio_would_refuse_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TwilioSettings.model_validate(settings)

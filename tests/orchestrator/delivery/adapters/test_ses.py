"""The adapter `ses`: requests as AWS wants and signs them, and what each answer means."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from pydantic import ValidationError

from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.ses.adapter import DAILY_QUOTA, MEANINGS, NOT_VERIFIED
from services.orchestrator.delivery.adapters.ses.aws_signature import AccessKey, sign_post
from services.orchestrator.delivery.adapters.ses.declaration import DECLARATION, SesSettings
from tests.support.mail_api_fake import (
    KEY,
    NOW,
    PAGE,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    contract_adapter,
    send,
)
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

KEY_ID, TOKEN = "AKIAEXAMPLE000000001", "a-session-token-of-0123456789"
SETTINGS = {"access_key_id": KEY_ID, "region": "eu-west-1", "session_token": TOKEN}
ACCOUNT = ProviderAccount(
    id="ses",
    path="/v2/email/outbound-emails",
    authorization=("x-amz-security-token", TOKEN),
    required=frozenset({"Content", "Destination"}),
    accepts=lambda: web.json_response({"MessageId": "0102018-0a"}),
    settings=SETTINGS,
)
DOCUMENT = json.loads(
    (Path(__file__).parents[3] / "contracts" / "providers" / "ses-send-email.json").read_text("utf-8")
)
SCHEMA = jsonschema_rs.Draft202012Validator(DOCUMENT)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


def mail_in(request: Mapping[str, Any]) -> EmailMessage:
    parsed = message_from_bytes(base64.b64decode(request["Content"]["Raw"]["Data"]), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


async def test_a_request_holds_the_whole_mail() -> None:
    result, fake = await send(ACCOUNT, settings={"configuration_set": "shop", "feedback_address": "dead@shop.example"})
    assert (result.outcome, result.provider_id) == ("accepted", "0102018-0a")
    (request,) = fake.bodies
    mail = mail_in(request)
    del request["Content"]
    assert request == {
        "Destination": {"ToAddresses": ["ada@example.org"]},
        "EmailTags": [{"Name": "tactful_message", "Value": "msg_1"}],
        "ConfigurationSetName": "shop",
        "FeedbackForwardingEmailAddress": "dead@shop.example",
    }
    assert mail["From"] == '"Müller, Söhne" <news@shop.example>'
    assert (mail["To"], mail["Subject"], mail["Reply-To"]) == ("ada@example.org", "Grüße", "answers@shop.example")
    assert mail["List-Unsubscribe"] == f"<{PAGE}>, <mailto:stop@shop.example?subject=msg_1>"
    assert mail["X-Tactful-Message"] == "msg_1"
    html = mail.get_body(("html",))
    assert html is not None and html.get_content().strip() == "<p>Hällo</p>"


@pytest.mark.parametrize("settings", [{}, {"configuration_set": "shop", "feedback_address": "dead@shop.example"}])
async def test_a_request_is_as_the_model_of_the_api_wants_it(settings: Mapping[str, Any]) -> None:
    _, fake = await send(ACCOUNT, settings=settings)
    (request,) = fake.bodies
    assert [error.message for error in SCHEMA.iter_errors(request)] == []
    base64.b64decode(request["Content"]["Raw"]["Data"], validate=True)
    assert f"POST {ACCOUNT.path}," in DOCUMENT["$comment"]
    assert not SCHEMA.is_valid({**request, "Tags": []})
    assert not SCHEMA.is_valid({name: value for name, value in request.items() if name != "Content"})


async def test_a_request_is_signed_over_what_is_sent() -> None:
    bodies: list[bytes] = []

    async def keep(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(await request.read())
        return web.json_response({"MessageId": "1"})

    _, fake = await send(ACCOUNT, keep)
    (headers,) = fake.headers
    url = f"http://{headers['host']}{ACCOUNT.path}"
    right = sign_post(AccessKey(KEY_ID, KEY, TOKEN), "eu-west-1", "ses", url, headers["content-type"], bodies[0], NOW)
    assert {name: headers[name] for name in right} == right
    assert headers["content-type"] == "application/json"


def test_the_region_has_an_address() -> None:
    assert SesSettings(region="eu-west-1").endpoint == "https://email.eu-west-1.amazonaws.com"
    assert SesSettings(region="cn-north-1").endpoint == "https://email.cn-north-1.amazonaws.com.cn"
    assert SesSettings(region="eu-west-1", url="https://x.example/").endpoint == "https://x.example/"


def error(type: str, text: str = "") -> tuple[Any, Mapping[str, str]]:
    return {"message": text}, {"x-amzn-ErrorType": f"{type}:http://internal.amazon.com/coral/"}


NOT_VERIFIED_TEXT = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: x@shop.example"
)
ANSWERS: list[tuple[int, str, str, str, str | None, str]] = [
    (400, "AccountSuspendedException", "", "retry", "account", ""),
    (400, "SendingPausedException", "", "retry", "account", ""),
    (400, "MailFromDomainNotVerifiedException", "", "retry", "account", ""),
    (404, "NotFoundException", "Configuration set <x> does not exist.", "retry", "account", ""),
    (400, "MessageRejected", NOT_VERIFIED_TEXT, "retry", "account", NOT_VERIFIED),
    (400, "MessageRejected", "Message failed checks", "rejected", "content", ""),
    (400, "BadRequestException", "Missing final '@domain'", "rejected", "content", ""),
    (429, "TooManyRequestsException", "Maximum sending rate exceeded.", "retry", "throttle", ""),
    (429, "TooManyRequestsException", "Daily message quota exceeded.", "retry", "throttle", DAILY_QUOTA),
    (400, "LimitExceededException", "", "retry", "throttle", ""),
    (400, "ThrottlingException", "Rate exceeded", "retry", "throttle", ""),
    (400, "Throttling", "Rate exceeded", "retry", "throttle", ""),
    (400, "RequestLimitExceeded", "", "retry", "throttle", ""),
    *(
        (status, code, "", "retry", "account", "")
        for status, code in (
            (403, "AccessDeniedException"),
            (403, "ExpiredTokenException"),
            (400, "IncompleteSignature"),
            (403, "InvalidClientTokenId"),
            (403, "InvalidSignatureException"),
            (403, "MissingAuthenticationToken"),
            (400, "NotAuthorized"),
            (403, "OptInRequired"),
            (400, "RequestExpired"),
            (403, "SignatureDoesNotMatch"),
            (403, "UnrecognizedClientException"),
        )
    ),
    (500, "InternalFailure", "", "unknown", None, ""),
    (503, "ServiceUnavailable", "", "unknown", None, ""),
]


@pytest.mark.parametrize(("status", "type", "text", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_error_means(
    status: int, type: str, text: str, outcome: str, fault: str | None, code: str
) -> None:
    body, headers = error(type, text)
    result, _ = await send(ACCOUNT, answering(status, body, headers))
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, f"status {status}, {code or type}")
    assert result.retry_after == (600.0 if code == DAILY_QUOTA else None)


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), COMMON_ANSWERS)
async def test_what_other_answers_mean(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(ACCOUNT, answering(status, body))
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, f"status {status}")


@pytest.mark.parametrize("type", ["a@b.example:x", "#", "", "com.amazon#MessageRejected", "x" * 100])
async def test_an_error_type_of_another_form_shows_nothing(type: str) -> None:
    result, _ = await send(ACCOUNT, answering(400, "", {"x-amzn-ErrorType": type}))
    code = "MessageRejected" if "MessageRejected" in type else ""
    assert result.detail == ("status 400, MessageRejected" if code else "status 400")


def test_every_row_of_the_table_is_tested_and_every_error_of_the_model_has_one() -> None:
    tested = {code or type for _, type, _, _, _, code in ANSWERS}
    assert codes_of(MEANINGS) <= tested
    assert set(DOCUMENT["x-errors"]) <= codes_of(MEANINGS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_key_id": None}, "TACTFUL_SES__ACCESS_KEY_ID is not set"),
        ({"key": None}, "TACTFUL_SES__KEY is not set"),
        ({"region": None}, "TACTFUL_SES__REGION is not set"),
    ],
)
def test_what_is_missing_is_named(settings: dict[str, Any], words: str) -> None:
    given = context(ACCOUNT, "", **settings)
    with pytest.raises(SettingsError, match=words):
        adapter_module(ACCOUNT).create_adapter(given)
    remedy = DECLARATION.check(given.settings).remedy
    assert remedy is not None and words.partition(" ")[0] in remedy


def test_doctor_says_what_receipts_of_a_topic_need() -> None:
    settings = context(ACCOUNT, "").settings
    assert DECLARATION.check(settings).detail == "ses, at https://email.eu-west-1.amazonaws.com"
    assert DECLARATION.missing_for_receipts(settings) == ("topic_arn",)
    told = settings.model_copy(update={"topic_arn": "arn:aws:sns:eu-west-1:123456789012:mails"})
    assert "CONFIGURATION_SET" in DECLARATION.check(told).detail
    complete = told.model_copy(update={"configuration_set": "shop"})
    assert DECLARATION.check(complete).detail == "ses, at https://email.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "eu-west-1.evil.example/"},
        {"region": "Frankfurt"},
        {"access_key_id": "AKIA 1"},
        {"configuration_set": "a b"},
        {"feedback_address": "no address"},
        {"topic_arn": "arn:aws:sqs:eu-west-1:123456789012:mails"},
        {"sns_key": "MFkw"},
        {"sns_key": "no base64"},
    ],
)
def test_settings_that_aws_would_refuse_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SesSettings.model_validate(settings)

"""The example adapter `pager`: requests, answers, receipts, and at work; `test_example_provider.py` runs this in a
process of its own.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.message import HandoverResult
from schemas.receipt import CustomerReply, Receipt, Statement
from schemas.times import HOUR, MINUTE, SECOND
from services.deployment_settings import DeploymentSettings
from services.development.generated_files import generated_parts
from services.kit.errors import Malformed
from services.kit.runtime.settings import SettingsError, load_settings
from services.orchestrator.delivery.adapters.text_api import OUTCOMES
from tactful.doctor_checks import CheckState, check_adapter
from tests.extensions.adapters.pager.adapter import MEANINGS
from tests.extensions.adapters.pager.declaration import DECLARATION, PagerSettings
from tests.extensions.adapters.pager.error_codes import ERROR_CODES
from tests.extensions.adapters.pager.receipts import read_receipts
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.mail_api_fake import (
    KEY,
    Handler,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    serving,
)
from tests.support.mail_api_fake import send as send_to_fake
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of
from tests.support.receipt_requests import (
    MESSAGE,
    NOW,
    body_of,
    check_form,
    kinds,
    refused,
    request,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

NUMBER = "+447700900123"
SECRET = "signing-secret-of-the-tests"
SETTINGS = PagerSettings(signing_secret=SecretStr(SECRET))
ACCOUNT = ProviderAccount(
    id="pager",
    path="/v2/pages",
    authorization=("x-pager-key", KEY),
    required=frozenset({"to", "body", "ref"}),
    accepts=lambda: web.json_response({"page": "p-77"}, status=202),
)


# --- requests and answers ---


async def send(answer: Handler | None = None, **how: Any) -> tuple[HandoverResult, MailApiFake]:
    """One text, and what Pager got."""
    return await send_to_fake(ACCOUNT, answer, **{"channel": "sms", "to": NUMBER, "content": {"text": "Grüße"}, **how})


async def test_a_request_holds_the_whole_text_and_our_id() -> None:
    result, fake = await send()
    assert result == HandoverResult("msg_1", "accepted", "p-77", "status 202")
    assert fake.bodies == [{"to": NUMBER, "body": "Grüße", "ref": "msg_1"}]


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((400, {"error": code, "detail": NUMBER}, *OUTCOMES[meaning], code) for code, meaning in ERROR_CODES.items()),
    (400, {"error": "something_new"}, "rejected", "content", "something_new"),
    (400, {"error": f"{NUMBER} is no number"}, "rejected", "content", ""),
    (400, {"error": ["bad_number"]}, "rejected", "content", ""),
    (401, {"error": "unknown_key"}, "retry", "account", "unknown_key"),
    (402, {"error": "no_credit"}, "retry", "account", "no_credit"),
    (503, {"error": "bad_number"}, "unknown", None, "bad_number"),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")
    assert NUMBER not in repr(result)


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) == set(ERROR_CODES) <= {code for *_, code in ANSWERS}
    for row in MEANINGS:
        rows = [status for status, *_, code in ANSWERS if row.code in (None, code)]
        assert any(row.first <= status <= row.last for status in rows), row


def test_what_the_codes_mean() -> None:
    assert {code: OUTCOMES[meaning] for code, meaning in ERROR_CODES.items()} == {
        "bad_number": ("rejected", "address"),
        "opted_out": ("rejected", "unsubscribed"),
        "empty": ("rejected", "content"),
    }


@pytest.mark.parametrize(("told", "wait"), [("42", 42.0), ("90000", 3600.0), ("soon", None)])
async def test_a_throttled_message_waits_as_long_as_pager_says(told: str, wait: float | None) -> None:
    result, _ = await send(answering(429, "", {"retry-after": told}))
    assert (result.outcome, result.fault, result.retry_after) == ("retry", "throttle", wait)


# --- settings ---


def test_what_is_missing_is_named() -> None:
    given = context(ACCOUNT, "https://api.example", key=None)
    with pytest.raises(SettingsError, match="TACTFUL_PAGER__KEY is not set"):
        adapter_module(ACCOUNT).create_adapter(given)
    assert DECLARATION.check(given.settings).remedy == "set TACTFUL_PAGER__KEY"


def test_a_url_that_must_not_be_called_is_named() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_PAGER__URL: "):
        adapter_module(ACCOUNT).create_adapter(context(ACCOUNT, "ftp://api.example"))


def test_what_the_doctor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(channel: str = "sms") -> tuple[CheckState, str | None]:
        found = check_adapter(load_settings(DeploymentSettings), channel, "pager", False)
        return found.state, found.mend

    monkeypatch.setenv("TACTFUL_ADAPTERS__SMS", "pager")
    assert state() == (CheckState.RED, "set TACTFUL_PAGER__KEY")
    monkeypatch.setenv("TACTFUL_PAGER__KEY", KEY)
    assert state() == (CheckState.AMBER, "set TACTFUL_PAGER__SIGNING_SECRET (docs/receipts.md)")
    monkeypatch.setenv("TACTFUL_PAGER__SIGNING_SECRET", SECRET)
    assert state() == (CheckState.GREEN, None)
    assert state("email")[0] is CheckState.RED


def test_its_settings_are_in_the_sample() -> None:
    sample, _, adapters = (part.lines for part in generated_parts()[:3])
    for name in ("KEY=", "URL=https://api.pager.example", "SIGNING_SECRET="):
        assert f"TACTFUL_PAGER__{name}" in sample
    assert any("`pager`" in line for line in adapters)


# --- receipts and replies ---


def told(state: Any, **fields: Any) -> dict[str, Any]:
    return {"ref": MESSAGE, "page": "p-77", "state": state, "at": "2026-03-02T08:59:59Z", **fields}


def reply(text: Any, **fields: Any) -> dict[str, Any]:
    return {"from": NUMBER, "text": text, "at": "2026-03-02T09:59:59+01:00", "id": "in-1", **fields}


def sign(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The header that Pager adds to a request."""
    return {"X-Pager-Signature": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()}


def read(*events: Any) -> Sequence[Statement]:
    body = body_of({"events": events})
    return read_receipts(SETTINGS, request(body, sign(body)))


def receipts_of(*events: Any) -> list[Receipt]:
    return [each for each in read(*events) if isinstance(each, Receipt)]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("delivered", [("delivered", False, False)]),
        ("failed", [("failed", False, False)]),
        ("unreachable", [("bounced", False, False)]),
        ("queued", []),
        (None, []),
        (["failed"], []),
    ],
)
def test_each_state_has_its_meaning(state: Any, expected: list[tuple[str, bool, bool]]) -> None:
    receipts = receipts_of(told(state))
    assert kinds(receipts) == expected
    assert all((each.message_id, each.at, each.detail) == (MESSAGE, NOW - SECOND, state) for each in receipts)
    check_form(receipts, "pager")


def test_a_statement_has_one_key_however_often_it_comes() -> None:
    first, again, other = receipts_of(told("delivered"), told("delivered", at=None), told("failed"))
    assert first.key == again.key != other.key
    assert again.at == NOW


@pytest.mark.parametrize("ref", ["", None, "somebody else's", 7.5])
def test_messages_of_others_are_left_out(ref: Any) -> None:
    assert read(told("delivered", ref=ref)) == []


def test_events_of_both_kinds_come_in_one_request() -> None:
    receipt, answer = read(told("delivered"), 7, reply("Größte Freude"))
    assert isinstance(receipt, Receipt)
    assert isinstance(answer, CustomerReply)
    assert (answer.channel, answer.address, answer.text) == ("sms", NUMBER, "Größte Freude")
    assert (answer.at, answer.keyword) == (NOW - SECOND, None)
    assert answer.key == read(reply("Größte Freude"))[0].key != read(reply("", id="in-2"))[0].key


@pytest.mark.parametrize("fields", [{"from": "Shop"}, {"from": None}, {"id": ""}, {"text": 7}, {"id": None}])
def test_what_is_no_reply_is_left_out(fields: dict[str, Any]) -> None:
    assert read(reply("STOP") | fields) == []


def test_without_a_secret_everything_is_refused() -> None:
    body = body_of({"events": [told("delivered")]})
    refused(lambda: read_receipts(PagerSettings(), request(body, sign(body))), "TACTFUL_PAGER__SIGNING_SECRET")


def test_what_is_forged_is_refused() -> None:
    body = body_of({"events": [told("unreachable")]})
    right = sign(body)["X-Pager-Signature"]
    forged = ["", right[:-1], right.removeprefix("sha256="), right.replace("256", "1"), "sha256=", "sha256=ü", "\udc80"]
    headers = [{"x-pager-signature": each} for each in forged]
    for each in ({}, sign(body, "another-secret-of-somebody"), sign(body + b" "), *headers):
        refused(partial(read_receipts, SETTINGS, request(body, each)), "TACTFUL_PAGER__SIGNING_SECRET")


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"{}", b'{"events": {}}', b'{"events": null}'])
def test_what_has_another_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, request(body, sign(body)))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    def read_signed(body: bytes) -> Sequence[Receipt]:
        statements = read_receipts(SETTINGS, request(body, sign(body)))
        return [each for each in statements if isinstance(each, Receipt)]

    events = with_any_fields(told("failed")) | with_any_fields(reply("STOP"))
    stands_everything(read_signed, events.map(lambda each: {"events": [each]}))


def test_headers_of_nobody_are_refused() -> None:
    stands_all_headers(lambda each: read_receipts(SETTINGS, each), ["X-Pager-Signature"])


# --- in the running product ---


@asynccontextmanager
async def running(
    directory: Path, monkeypatch: pytest.MonkeyPatch, answer: Handler | None = None
) -> AsyncIterator[tuple[Live, MailApiFake]]:
    """The product, which sends texts by Pager, and Pager."""
    fake = MailApiFake(ACCOUNT, answer)
    async with serving(fake) as url:
        for name, value in {
            "ADAPTERS__SMS": "pager",
            "PAGER__KEY": KEY,
            "PAGER__URL": url,
            "PAGER__SIGNING_SECRET": SECRET,
            "OUTBOUND__NETWORKS": "127.0.0.0/8",
        }.items():
            monkeypatch.setenv(f"TACTFUL_{name}", value)
        async with live(directory, MONDAY) as product:
            await product.policy(policy())
            await product.campaign(campaign(channels=["sms"], content={"sms": {"en": {"text": "Dear Ada"}}}))
            consent = {**customer()["consent"][0], "channel": "sms"}
            addresses = [{"channel": "sms", "address": NUMBER, "verified": True}]
            await product.customer(customer(addresses=addresses, consent=[consent]))
            yield product, fake


async def message_of(product: Live) -> dict[str, Any]:
    """The only message, with its receipts."""
    (message,) = (await product.ask("GET", "/v1/messages"))["items"]
    found: dict[str, Any] = await product.ask("GET", f"/v1/messages/{message['message_id']}")
    return found


async def post(product: Live, *events: Any, secret: str = SECRET) -> httpx.Response:
    """Post these as Pager does, which has no key of ours."""
    body = json.dumps({"events": events}).encode()
    transport = httpx.ASGITransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as pager:
        return await pager.post("/v1/receipts/pager", content=body, headers=sign(body, secret))


@pytest.mark.wired
async def test_a_text_is_sent_and_what_becomes_of_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch) as (product, fake):
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        message = await message_of(product)
        assert (message["channel"], message["status"], message["adapter"]) == ("sms", "accepted", "pager")
        assert fake.bodies == [{"to": NUMBER, "body": "Dear Ada", "ref": message["message_id"]}]

        arrived = told("delivered", ref=message["message_id"])
        assert (await post(product, arrived, secret="another-secret-of-somebody")).status_code == 401
        assert (await message_of(product))["receipts"] == []
        counts = [(await post(product, arrived)).json() for _ in range(2)]
        assert [(each["new"], each["repeated"]) for each in counts] == [(1, 0), (0, 1)]
        message = await message_of(product)
        assert (message["delivery"], [each["kind"] for each in message["receipts"]]) == ("delivered", ["delivered"])

        for _ in range(2):
            assert (await post(product, reply("STOP"))).status_code == 200
        (entry,) = (await product.ask("GET", "/v1/suppressions"))["items"]
        assert (entry["reason"], entry["source"]) == ("stop_keyword", "pager: unsubscribed")
        (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
        assert (decision["outcome"], decision["reason"]) == ("suppress", "suppression_list")
        assert len(fake.bodies) == 1


@pytest.mark.wired
async def test_a_text_whose_answer_was_lost_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, answering(502)) as (product, fake):
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        fake.answer = None
        await product.at(MONDAY + MINUTE)
        message = await message_of(product)
        assert message["status"] == "accepted"
        assert [each["ref"] for each in fake.bodies] == [message["message_id"]] * len(fake.bodies)
        assert len(fake.bodies) >= 2


@pytest.mark.wired
async def test_a_text_that_pager_has_forgotten_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, answering(503, "", {"retry-after": "3600"})) as (product, fake):
        await product.send(event("shop.offer", "e-1"))
        for hours in range(6):
            await product.at(MONDAY + hours * HOUR)
        assert (await message_of(product))["status"] == "unknown"
        assert len(fake.bodies) == 2

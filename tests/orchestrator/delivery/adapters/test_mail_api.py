"""What all adapters of mail providers do alike: settings, refusals of our own, and a provider that misbehaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.vocabulary import CHANNELS
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, find_meaning, find_text
from services.orchestrator.mail_settings import MailSettings
from tests.orchestrator.delivery.adapters import test_mailgun, test_postmark, test_resend, test_sendgrid
from tests.support.mail_api_fake import (
    CONTENT,
    KEY,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    send,
    serving,
)
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

ACCOUNTS = [test_sendgrid.ACCOUNT, test_postmark.ACCOUNT, test_resend.ACCOUNT, test_mailgun.ACCOUNT]
WRITTEN = [("before", "msg_1"), ("after", "msg_1")]
each_provider = pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.id)


@each_provider
@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("key", None, "is not set"), ("key", "a key with blanks in it", "without blanks"),
     ("url", "http://93.184.216.34", "https"), ("url", "https://10.0.0.1", "")],
)  # fmt: skip
def test_settings_that_cannot_work_are_named(
    account: ProviderAccount, field: str, value: str | None, text: str
) -> None:
    fields: dict[str, Any] = {"url": "https://api.example", field: value}
    with pytest.raises(SettingsError, match=f"TACTFUL_{account.id.upper()}__{field.upper()}.*{text}") as refused:
        adapter_module(account).create_adapter(context(account, **fields))
    assert "blanks in it" not in str(refused.value)


def test_mailgun_needs_a_domain() -> None:
    given = context(test_mailgun.ACCOUNT, "https://api.example", domain=None)
    with pytest.raises(SettingsError, match="TACTFUL_MAILGUN__DOMAIN is not set"):
        adapter_module(test_mailgun.ACCOUNT).create_adapter(given)


@each_provider
def test_the_doctor_names_what_is_missing_and_shows_no_key(account: ProviderAccount) -> None:
    declaration = ADAPTER_REGISTRY.declarations[account.id]
    missing = declaration.check(declaration.settings())
    assert missing.remedy is not None and f"TACTFUL_{account.id.upper()}__KEY" in missing.remedy
    found = declaration.check(context(account, "https://api.example").settings)
    assert found.remedy is None and "https://api.example" in found.detail and KEY not in repr(found)
    assert [channel for channel in CHANNELS if declaration.serves(channel)] == ["email"]


@each_provider
async def test_only_resend_takes_a_message_once(account: ProviderAccount) -> None:
    adapter = adapter_module(account).create_adapter(context(account, "https://api.example"))
    assert (adapter.name, adapter.idempotent) == (account.id, account.id == "resend")
    assert KEY not in repr(vars(adapter))


@each_provider
@pytest.mark.parametrize(
    ("fields", "outcome", "fault", "detail"),
    [
        ({"mail": MailSettings()}, "retry", "account", "no_sender"),
        ({"content": {}}, "rejected", "content", "incomplete_content"),
        ({"content": {**CONTENT, "html": ""}}, "rejected", "content", "incomplete_content"),
        ({"content": {**CONTENT, "subject": ""}}, "rejected", "content", "incomplete_content"),
        ({"content": {**CONTENT, "subject": "x\r\nBcc: b@example.org"}}, "rejected", "content", "line_break_in_header"),
        ({"content": {**CONTENT, "unsubscribe": "x\ny"}}, "rejected", "content", "line_break_in_header"),
        ({"content": {**CONTENT, "text": "\ud83d"}}, "rejected", "content", "not_unicode"),
        ({"to": ""}, "rejected", "address", "unusable_address"),
        ({"to": "ada@example.org, bob@example.org"}, "rejected", "address", "unusable_address"),
        ({"to": "Ada <ada@example.org>"}, "rejected", "address", "unusable_address"),
        ({"to": "ada@example.org\nBcc:x@y.example"}, "rejected", "address", "unusable_address"),
    ],
)
async def test_what_no_provider_may_get_is_not_written(
    account: ProviderAccount, fields: dict[str, Any], outcome: str, fault: str, detail: str
) -> None:
    guard = RecordingFirstByteGuard()
    result, fake = await send(account, guard=guard, **fields)
    assert (result.outcome, result.fault, result.detail) == (outcome, fault, detail)
    assert (guard.calls, fake.bodies) == ([], [])


@each_provider
async def test_the_way_out_is_in_the_headers_of_marketing_alone(account: ProviderAccount) -> None:
    content = {"subject": "Your order", "html": "<p>Hi</p>", "text": "Hi"}
    _, marketing = await send(account)
    _, order = await send(account, cls="transactional", content=content)
    assert "List-Unsubscribe" in repr(marketing.bodies) and "List-Unsubscribe" not in repr(order.bodies)
    assert marketing.headers[0]["User-Agent"] == "Tactful"


@each_provider
async def test_a_mail_without_text_has_no_empty_part(account: ProviderAccount) -> None:
    result, fake = await send(account, content={**CONTENT, "text": ""})
    assert result.outcome == "accepted"
    assert "TextBody" not in fake.bodies[0] and "text/plain" not in repr(fake.bodies)
    assert account.id == "resend" or "text" not in fake.bodies[0]  # there, no text means one that Resend makes


@pytest.mark.parametrize(("account", "most"), list(zip(ACCOUNTS, (32, 10, 2, 32), strict=True)))
async def test_a_provider_gets_no_more_requests_at_a_time_than_it_wants(account: ProviderAccount, most: int) -> None:
    running = highest = 0

    async def count(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.05)
        running -= 1
        return account.accepts()

    async with serving(MailApiFake(account, count)) as url:
        adapter = adapter_module(account).create_adapter(context(account, url))
        messages = [message(f"msg_{number}") for number in range(2 * most)]
        results = await adapter.send_batch(messages, RecordingFirstByteGuard())
        await adapter.close()
    assert {result.outcome for result in results} == {"accepted"}
    assert 1 < highest <= most


@each_provider
async def test_a_url_may_end_with_a_slash(account: ProviderAccount) -> None:
    fake = MailApiFake(account)
    async with serving(fake) as url:
        adapter = adapter_module(account).create_adapter(context(account, f"{url}/"))
        [result] = await adapter.send_batch([message()], RecordingFirstByteGuard())
        await adapter.close()
    assert (result.outcome, len(fake.bodies)) == ("accepted", 1)


@each_provider
async def test_a_wrong_key_is_a_fault_of_the_account(account: ProviderAccount) -> None:
    fake = MailApiFake(account)
    async with serving(fake) as url:
        adapter = adapter_module(account).create_adapter(context(account, url, key="some-other-key-0000"))
        [result] = await adapter.send_batch([message()], RecordingFirstByteGuard())
        await adapter.close()
    assert (result.outcome, result.fault, result.detail, fake.bodies) == ("retry", "account", "status 401", [])


async def _lose(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _garbage(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"\x00\xff what?\r\n\r\n")
    request.transport.close()
    return web.Response()


async def _slow(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response()


@each_provider
@pytest.mark.parametrize("answer", [_lose, _garbage, _slow])
async def test_without_an_answer_nobody_knows(account: ProviderAccount, answer: Any) -> None:
    guard = RecordingFirstByteGuard()
    result, fake = await send(account, answer, timeout=0.3, guard=guard)
    assert (result.outcome, result.fault, guard.calls, len(fake.bodies)) == ("unknown", None, WRITTEN, 1)


@each_provider
async def test_an_answer_that_is_cut_off_has_its_status(account: ProviderAccount) -> None:
    async def cut_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": "x')
        assert request.transport is not None
        request.transport.close()
        return response

    result, _ = await send(account, cut_off)
    assert (result.outcome, result.provider_id, result.detail) == ("accepted", None, "status 200")


@each_provider
async def test_a_provider_that_is_not_there_has_nothing(account: ProviderAccount) -> None:
    async with serving(MailApiFake(account)) as url:
        pass
    guard = RecordingFirstByteGuard()
    adapter = adapter_module(account).create_adapter(context(account, url))
    [result] = await adapter.send_batch([message()], guard)
    await adapter.close()
    assert (result.outcome, result.fault, guard.calls) == ("retry", None, [])


@each_provider
async def test_a_redirect_is_not_followed(account: ProviderAccount) -> None:
    result, fake = await send(account, answering(307, "", {"location": account.path}))
    assert (result.outcome, result.fault, len(fake.bodies)) == ("retry", "account", 1)


@each_provider
@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_is_tried_again_waits_as_long_as_asked(account: ProviderAccount, status: int) -> None:
    result, _ = await send(account, answering(status, "", {"retry-after": "7"}))
    assert result.retry_after == 7.0


@each_provider
async def test_an_id_that_is_none_is_left_out(account: ProviderAccount) -> None:
    for id in ("x" * 201, "a b", "", ["x"], None):
        body = {"id": id, "MessageID": id}
        headers = {"x-message-id": str(id)} if isinstance(id, str) else {}
        result, _ = await send(account, answering(200, body, headers))
        assert (result.outcome, result.provider_id) == ("accepted", None)


def test_an_answer_that_no_row_fits_is_unknown() -> None:
    assert find_meaning(COMMON_MEANINGS, 199, "").outcome == find_meaning((), 200, "").outcome == "unknown"


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        ({"a": [{"b": "x"}]}, ("a", 0, "b"), "x"),
        ({"a": 406}, ("a",), "406"),
        ({"a": True}, ("a",), ""),
        ({"a": 10**30}, ("a",), ""),
        ({"a": 1.5}, ("a",), ""),
        ({"a": []}, ("a", 0, "b"), ""),
        ({"a": "xyz"}, ("a", 0, "b"), ""),
        ([1], ("a",), ""),
        (None, ("a",), ""),
    ],
)
def test_a_text_is_found_at_its_place_or_not_at_all(body: Any, path: tuple[str | int, ...], text: str) -> None:
    assert find_text(body, *path) == text


@each_provider
def test_no_row_of_a_table_is_hidden_by_an_earlier_one(account: ProviderAccount) -> None:
    meanings = adapter_module(account).MEANINGS
    for row in set(meanings) - set(COMMON_MEANINGS):
        codes = ("some_other", NO_CODE) if row.code is None else (row.code,)
        points = [(status, code) for status in range(row.first, row.last + 1) for code in codes]
        assert any(find_meaning(meanings, *point) is row for point in points), row

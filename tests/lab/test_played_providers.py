"""Each provider of the lab against the adapter of the product: what it takes, refuses, knows again and tells."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult
from schemas.receipt import CustomerReply
from schemas.times import HOUR, SECOND, parse_instant
from services.kit.runtime.clock import ManualClock, SystemClock
from services.lab.lab_provider import REPLY_TEXTS, Statement, StatementKind, Submission
from services.lab.provider_registry import load_providers
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from tests.support.lab_adapters import hand_over, lab_adapter, lab_message
from tests.support.running_lab import KEYS, LocalLab, local_lab
from tests.support.webhook_receiver import RecordingFirstByteGuard

PROVIDERS = tuple(each for each in load_providers() if ADAPTER_REGISTRY.declarations[each].has_receipts)
APIS = tuple(each for each in PROVIDERS if ADAPTER_REGISTRY.declarations[each].channels is not None)
"""All but the receiver of webhooks, which takes everything of every channel."""
NOW = parse_instant("2026-03-02T09:00:00Z")
BLOCKED = "ada+block@example.org"


def test_a_provider_is_played_under_the_name_of_its_adapter() -> None:
    assert len(PROVIDERS) >= 5 and ADAPTER_REGISTRY.declarations.keys() >= load_providers().keys()


async def sent(
    lab: LocalLab,
    provider: str,
    id: str = "msg_1",
    to: str = "ada@example.org",
    timeout: float = 5.0,
    settings: Mapping[str, str] | None = None,
) -> HandoverResult:
    async with lab_adapter(lab, provider, timeout, settings=settings) as adapter:
        return await hand_over(adapter, id, to)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_message_is_taken_and_in_the_log_before_the_answer(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider)
        assert result.outcome == "accepted" and result.provider_id
        (arrival,) = lab.evidence.arrivals
    assert (arrival.provider, arrival.outcome, arrival.message_id) == (provider, "accepted", "msg_1")
    assert arrival.provider_id and arrival.provider_id in result.provider_id.replace("-", "")
    assert "ada" not in (tmp_path / "arrivals.jsonl").read_text()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_batch_arrives_whole(provider: str, tmp_path: Path) -> None:
    names = [f"msg_{number}" for number in range(40)]
    async with local_lab(tmp_path) as lab:
        async with lab_adapter(lab, provider) as adapter:
            results = await adapter.send_batch(
                [lab_message(provider, each) for each in names], RecordingFirstByteGuard()
            )
        assert [each.outcome for each in results] == ["accepted"] * 40
        assert lab.evidence.effects(provider) == dict.fromkeys(names, 1)
        assert [each.number for each in lab.evidence.arrivals] == list(range(1, 41))


ADDRESS_FAULTS = {"ses": "content", "whatsapp_cloud": "content"}
"""Providers whose refusal of an address may mean something else as well, so that no address is given up for it."""
WRONG: Mapping[str, Mapping[str, str]] = {
    "webhook": {"secret": "whsec_" + "A" * 44},
    **{each: {"key": "another-key-0123456789"} for each in APIS},
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_another_key_is_refused_and_nothing_is_sent(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider, settings=WRONG[provider])
        assert result.outcome == ("retry" if provider in APIS else "rejected")
        assert result.fault == ("account" if provider in APIS else None)
        (arrival,) = lab.evidence.arrivals
    assert (arrival.outcome, arrival.message_id, arrival.status) == ("refused", "", arrival.status)
    assert arrival.status in (401, 403)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_blocked_address_is_refused_in_the_providers_words(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider, to=BLOCKED)
        assert result.outcome == "rejected"
        assert result.fault == (ADDRESS_FAULTS.get(provider, "address") if provider in APIS else None)
        assert lab.evidence.effects(provider) == {}
        assert [each.outcome for each in lab.evidence.arrivals] == ["refused"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_whoever_says_that_a_message_is_taken_once_meets_a_provider_that_does(
    provider: str, tmp_path: Path
) -> None:
    async with local_lab(tmp_path) as lab:
        async with lab_adapter(lab, provider) as adapter:
            first, second = await hand_over(adapter), await hand_over(adapter)
        assert (first.outcome, second.outcome) == ("accepted", "accepted")
        assert lab.evidence.effects(provider)["msg_1"] == (1 if adapter.idempotent else 2)
        assert lab.evidence.repetitions(provider)["msg_1"] == (1 if adapter.idempotent else 0)
        assert (first.provider_id == second.provider_id) is adapter.idempotent


async def test_a_key_with_another_body_is_refused(tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab, lab_adapter(lab, "resend") as adapter:
        await hand_over(adapter)
        changed = await hand_over(adapter, content={"subject": "Other", "html": "<p>x</p>", "text": "x"})
        assert (changed.outcome, changed.detail) == ("rejected", "status 409, invalid_idempotent_request")
        assert lab.evidence.effects("resend") == {"msg_1": 1}


async def test_keys_are_forgotten_after_a_day_and_remembered_by_a_new_lab_until_then(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    for hours, sent_so_far in ((0, 1), (23, 1), (25, 2)):
        clock.set(NOW + hours * HOUR)
        async with local_lab(tmp_path, clock=clock) as lab:
            await sent(lab, "resend")
            assert lab.evidence.effects("resend")["msg_1"] == sent_so_far


async def test_requests_with_one_key_at_once_take_effect_once(tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab, lab_adapter(lab, "webhook") as adapter:
        results = await asyncio.gather(*(hand_over(adapter) for _ in range(20)))
        assert {each.outcome for each in results} == {"accepted"} and len({each.provider_id for each in results}) == 1
        assert lab.evidence.effects("webhook") == {"msg_1": 1}


FAULTS: list[tuple[dict[str, Any], str, str | None, int]] = [
    ({"fault": "slow", "seconds": 0.05}, "accepted", None, 1),
    ({"fault": "garbage"}, "accepted", None, 1),
    ({"fault": "error_after_accept"}, "unknown", None, 1),
    ({"fault": "cut_after_accept"}, "unknown", None, 1),
    ({"fault": "error"}, "unknown", None, 0),
    ({"fault": "cut_before_reading"}, "unknown", None, 0),
    ({"fault": "too_many", "seconds": 7}, "retry", "throttle", 0),
    ({"fault": "wrong_key"}, "retry", "account", 0),
    ({"fault": "forbidden"}, "retry", "account", 0),
    ({"fault": "address"}, "rejected", "address", 0),
]


@pytest.mark.parametrize("provider", APIS)
@pytest.mark.parametrize(("rule", "outcome", "fault", "effects"), FAULTS, ids=lambda each: str(each)[:40])
async def test_what_a_fault_means_to_the_adapter(
    provider: str, rule: dict[str, Any], outcome: str, fault: str | None, effects: int, tmp_path: Path
) -> None:
    async with local_lab(tmp_path, {"faults": [rule]}) as lab:
        result = await sent(lab, provider)
        fault = ADDRESS_FAULTS.get(provider, fault) if fault == "address" else fault
        assert (result.outcome, result.fault) == (outcome, fault)
        assert lab.evidence.effects(provider).total() == effects
        assert [each.fault for each in lab.evidence.arrivals] == [rule["fault"]]


OWN_HEADERS = {"sendgrid": 7.0, "resend": 7.0}


@pytest.mark.parametrize("provider", APIS)
@pytest.mark.parametrize(("form", "waits"), [("seconds", 7.0), ("date", 7.0), ("none", None), ("own", "own")])
async def test_every_form_of_retry_after_is_obeyed(provider: str, form: str, waits: Any, tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    rule = {"fault": "too_many", "seconds": 7, "retry_after": form}
    async with local_lab(tmp_path, {"faults": [rule]}, clock=clock) as lab:
        async with lab_adapter(lab, provider, clock=clock) as adapter:
            result = await hand_over(adapter)
    assert result.retry_after == (OWN_HEADERS.get(provider) if waits == "own" else waits)


@pytest.mark.parametrize("provider", APIS)
async def test_an_answer_of_one_byte_a_second_leaves_nobody_knowing(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": "one_byte_a_second", "seconds": 0.05}]}) as lab:
        assert (await sent(lab, provider, timeout=0.5)).outcome == "unknown"
        assert lab.evidence.effects(provider) == {"msg_1": 1}


KINDS: Mapping[StatementKind, tuple[str, bool]] = {
    "delivered": ("delivered", False),
    "bounced": ("bounced", True),
    "soft_bounced": ("bounced", False),
    "failed": ("failed", False),
    "complained": ("complained", False),
    "opened": ("opened", False),
    "clicked": ("clicked", False),
    "unsubscribed": ("unsubscribed", False),
}


OTHER_KINDS = {("whatsapp_cloud", "bounced"): ("bounced", False)}
"""What a provider cannot say otherwise."""
UNTOLD = {
    ("resend", "unsubscribed"),
    *itertools.product(("twilio", "whatsapp_cloud"), ("complained", "clicked", "unsubscribed")),
}


TEXT = Submission("msg_1", "+4915112345678", channel="sms")


def told(
    provider: str, kind: StatementKind, after: int = 0, submission: Submission | None = None
) -> Sequence[Any] | None:
    """What the adapter reads of a receipt that was sent `after` seconds later; None if the provider tells nothing."""
    statement = Statement("a" * 32, kind, NOW, "b" * 32, submission or _submission(provider))
    post = load_providers()[provider].write_receipt(KEYS, statement, NOW + after * SECOND)
    if post is None:
        return None
    settings = ADAPTER_REGISTRY.declarations[provider].settings.model_validate(
        load_providers()[provider].list_settings(KEYS, "http://127.0.0.1:9")
    )
    query = dict(parse_qsl(post.query))
    request = ReceiptRequest(post.headers, query, post.body, NOW + after * SECOND, post.query)
    receipts: Sequence[Any] = ADAPTER_REGISTRY.load_module(provider, "receipts").read_receipts(settings, request)
    other = settings.model_copy(update=_without_proof(settings))
    with pytest.raises(ReceiptRefused):
        ADAPTER_REGISTRY.load_module(provider, "receipts").read_receipts(other, request)
    return receipts


def _submission(provider: str) -> Submission:
    sent = lab_message(provider)
    return Submission(sent.id, sent.to, channel=sent.channel)


def _without_proof(settings: Any) -> dict[str, Any]:
    proofs = (
        *("verification_key", "receipt_password", "signing_secret", "signing_key", "secret", "app_secret"),
        *("topic_arn", "receipts_url"),
    )
    return {name: None for name in proofs if hasattr(settings, name)}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_provider_says_is_read_as_it_is_meant(provider: str, kind: StatementKind) -> None:
    receipts = told(provider, kind)
    if receipts is None:
        assert (provider, kind) in UNTOLD
        return
    (receipt,) = receipts
    expected = OTHER_KINDS.get((provider, kind), KINDS[kind])
    assert (receipt.kind, receipt.permanent, receipt.message_id, receipt.at) == (*expected, "msg_1", NOW)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_repetition_is_known_as_one(provider: str) -> None:
    first, later = told(provider, "bounced"), told(provider, "bounced", after=120)
    assert first and later and first[0].key == later[0].key


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["replied", "stopped"])
def test_an_answer_of_a_customer_comes_by_providers_that_take_answers(provider: str, kind: StatementKind) -> None:
    submission = TEXT if provider == "webhook" else _submission(provider)
    statements = told(provider, kind, submission=submission)
    assert (statements is not None) is (provider in ("twilio", "webhook", "whatsapp_cloud"))
    for each in statements or ():
        assert isinstance(each, CustomerReply) and ADAPTER_REGISTRY.declarations[provider].serves(each.channel)
        assert (each.address, each.text) == (submission.to, REPLY_TEXTS[kind])


@pytest.mark.parametrize(("kind", "expected"), [("replied", "replied"), ("stopped", "unsubscribed")])
def test_an_answer_to_a_mail_is_told_as_a_receipt_of_it(kind: StatementKind, expected: str) -> None:
    (receipt,) = told("webhook", kind) or ()
    assert (receipt.kind, receipt.message_id) == (expected, "msg_1")


GOOD: Mapping[str, Mapping[str, Any]] = {
    "sendgrid": {
        "personalizations": [{"to": [{"email": "a@x.org"}]}],
        "from": {"email": "b@x.org"},
        "subject": "x",
        "content": [{"type": "text/html", "value": "x"}],
    },
    "postmark": {"From": "b@x.org", "To": "a@x.org", "Subject": "x", "HtmlBody": "x"},
    "resend": {"from": "b@x.org", "to": ["a@x.org"], "subject": "x", "html": "x"},
    "whatsapp_cloud": {"messaging_product": "whatsapp", "to": "+491511234567", "type": "text", "text": {"body": "x"}},
}
PATHS = {
    "sendgrid": "/v3/mail/send",
    "postmark": "/email",
    "resend": "/emails",
    "whatsapp_cloud": "/v24.0/100000000000001/messages",
}


@pytest.mark.parametrize(
    ("provider", "changes", "status", "words"),
    [
        ("sendgrid", {}, 202, ""),
        ("sendgrid", {"from": {"email": "nobody"}}, 400, "from.email"),
        ("sendgrid", {"personalizations": [{"to": [{"email": "x"}]}]}, 400, "personalizations.0.to.0.email"),
        ("sendgrid", {"subject": ""}, 400, "subject"),
        ("sendgrid", {"content": []}, 400, "content"),
        (
            "sendgrid",
            {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
            400,
            "ordered",
        ),
        ("sendgrid", {"personalizations": [{"to": [{"email": "a@x.org"}] * 2}]}, 400, "one recipient"),
        ("postmark", {}, 200, "OK"),
        ("postmark", {"From": ""}, 422, "Invalid 'From'"),
        ("postmark", {"To": "a b"}, 422, "Invalid 'To'"),
        ("postmark", {"HtmlBody": ""}, 422, "TextBody or HtmlBody"),
        ("postmark", {"MessageStream": "other"}, 422, "1235"),
        ("resend", {}, 200, "id"),
        ("resend", {"to": []}, 422, "missing_required_field"),
        ("resend", {"to": ["a@x.org", 1]}, 422, "Invalid `to`"),
        ("resend", {"from": "nobody"}, 422, "invalid_from_address"),
        ("resend", {"html": ""}, 422, "missing_required_field"),
        ("whatsapp_cloud", {}, 200, "wamid"),
        ("whatsapp_cloud", {"messaging_product": "sms"}, 400, "messaging_product"),
        ("whatsapp_cloud", {"to": "a@x.org"}, 400, "131009"),
        ("whatsapp_cloud", {"text": {}}, 400, "131008"),
        ("whatsapp_cloud", {"type": "template", "template": {"name": "x"}}, 400, "131008"),
        ("whatsapp_cloud", {"type": "template", "template": {"name": "x", "language": {"code": "de"}}}, 200, "wamid"),
    ],
)
async def test_the_form_is_checked(
    provider: str, changes: Mapping[str, Any], status: int, words: str, tmp_path: Path
) -> None:
    async with local_lab(tmp_path) as lab, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        key = lab.settings(provider)["key"]
        headers = {"x-postmark-server-token": key} if provider == "postmark" else {"authorization": f"Bearer {key}"}
        url = f"{lab.url}/{provider}{PATHS[provider]}"
        answer = await client.post(url, json={**GOOD[provider], **changes}, headers=headers)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        for body in (b"{", b"[]", b"null", b"\xff", b"[" * 100_000):
            assert (await client.post(url, content=body, headers=headers)).status_code in (400, 422)
        assert (await client.get(url, headers=headers)).status_code == 404
        assert (await client.post(f"{lab.url}/{provider}/other", headers=headers)).status_code == 404


async def test_resend_wants_a_name_of_the_client_and_a_key_of_bounded_length(tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        headers = {"authorization": f"Bearer {lab.settings('resend')['key']}"}
        url = f"{lab.url}/resend/emails"
        nameless = await client.post(url, json=GOOD["resend"], headers={**headers, "user-agent": ""})
        keyed = await client.post(url, json=GOOD["resend"], headers={**headers, "idempotency-key": "k" * 257})
        keyless = await client.post(url, json=GOOD["resend"])
        assert (nameless.status_code, keyed.status_code, keyless.status_code) == (403, 400, 401)


@pytest.mark.parametrize(
    ("form", "path", "status"),
    [
        ({}, "lab.example", 200),
        ({"from": "nobody"}, "lab.example", 400),
        ({"to": "nobody"}, "lab.example", 400),
        ({"html": ""}, "lab.example", 400),
        ({}, "other.example", 404),
    ],
)
async def test_mailgun_reads_forms_of_its_domain(
    form: Mapping[str, str], path: str, status: int, tmp_path: Path
) -> None:
    async with local_lab(tmp_path) as lab, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        login = ("api", lab.settings("mailgun")["key"])
        url = f"{lab.url}/mailgun/v3/{path}/messages"
        good = {"from": "Shop <b@x.org>", "to": "a@x.org", "html": "x"}
        assert (await client.post(url, data={**good, **form}, auth=login)).status_code == status
        assert (await client.post(url, json=good, auth=login)).status_code in (400, 404)
        assert (await client.post(url, data=good, auth=("other", login[1]))).status_code == 401
        assert (await client.post(url, data=good)).status_code == 401


async def test_a_webhook_with_an_old_signature_or_another_body_is_refused(tmp_path: Path) -> None:
    clock = ManualClock(SystemClock().now() + HOUR)
    async with local_lab(tmp_path, clock=clock) as lab:
        assert (await sent(lab, "webhook")).detail == "status 401"
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            assert (await client.post(f"{lab.url}/webhook/messages", content=b"{}")).status_code == 401

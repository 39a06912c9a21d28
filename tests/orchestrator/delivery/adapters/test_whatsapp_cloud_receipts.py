"""Receipts and replies from Meta: what each says, who may send them, and who asks for the address.

The signature in VECTOR was made by `openssl dgst -sha256 -hmac`, as Meta's documents describe it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import SecretStr

from schemas.receipt import CustomerReply, Receipt, Statement
from schemas.times import SECOND
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.whatsapp_cloud.declaration import WhatsappCloudSettings
from services.orchestrator.delivery.adapters.whatsapp_cloud.error_codes import RECEIPT_MEANINGS
from services.orchestrator.delivery.adapters.whatsapp_cloud.receipts import answer_challenge, read_receipts
from tests.support.receipt_requests import (
    MESSAGE,
    NOW,
    SECONDS,
    any_json,
    body_of,
    check_form,
    kinds,
    refused,
    request,
    stands_all_headers,
    with_any_fields,
)

SECRET, TOKEN = "secret-of-the-app-0001", "token-that-meta-shows-01"
NUMBER, NUMBER_ID = "4915112345678", "106540352242922"
SETTINGS = WhatsappCloudSettings(app_secret=SecretStr(SECRET), verify_token=SecretStr(TOKEN), phone_number_id=NUMBER_ID)
VECTOR = (b'{"object":"whatsapp_business_account"}', "a05c47f2b172f757a704bb52199971ea703ddd26ffb05315380cea34864256e4")


def change(**fields: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": NUMBER_ID}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **fields}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"value": value}]}]}


def status(name: str, code: int | None = None, **fields: Any) -> dict[str, Any]:
    errors = {} if code is None else {"errors": [{"code": code, "title": f"no {NUMBER}"}]}
    common = {"id": "wamid.1", "status": name, "timestamp": str(SECONDS - 5), "recipient_id": NUMBER}
    return {**common, "biz_opaque_callback_data": MESSAGE, **errors, **fields}


def written(type: str = "text", **fields: Any) -> dict[str, Any]:
    content = fields or {"text": {"body": "Wo bleibt es?"}}
    return {"from": NUMBER, "id": "wamid.2", "timestamp": str(SECONDS - 5), "type": type, **content}


def signed(body: bytes, secret: str = SECRET) -> ReceiptRequest:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return request(body, {"X-Hub-Signature-256": f"sha256={digest}"})


def read(document: Any) -> Sequence[Statement]:
    return read_receipts(SETTINGS, signed(body_of(document)))


def receipts(*statuses: Any) -> list[Receipt]:
    return [each for each in read(change(statuses=list(statuses))) if isinstance(each, Receipt)]


def replies(**fields: Any) -> list[CustomerReply]:
    return [each for each in read(change(**fields)) if isinstance(each, CustomerReply)]


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("sent", None, []),
        ("accepted", None, []),
        ("delivered", None, [("delivered", False, False)]),
        ("read", None, [("opened", False, False)]),
        ("played", None, []),
        ("failed", None, [("failed", False, False)]),
        ("failed", 131026, [("bounced", False, False)]),
        ("failed", 131047, [("failed", False, False)]),
        ("failed", 131049, [("failed", False, False)]),
        ("failed", 131050, [("failed", False, False)]),
        ("deleted", None, []),
        ("", None, []),
    ],
)
def test_what_a_status_means(name: str, code: int | None, expected: list[tuple[str, bool, bool]]) -> None:
    found = receipts(status(name, code))
    assert kinds(found) == expected
    check_form(found, "whatsapp_cloud")
    assert all((each.message_id, each.at) == (MESSAGE, NOW - 5 * SECOND) for each in found)
    assert all(each.detail == (name if code is None else f"{name}, {code}") for each in found)


def test_every_row_of_the_table_is_tested() -> None:
    assert set(RECEIPT_MEANINGS) == {"131026"}


def test_a_batch_holds_many_of_all_kinds() -> None:
    document = change(statuses=[status("delivered"), status("read"), 7], messages=[written()])
    document["entry"] += [{"changes": [{"value": change()["entry"][0]["changes"][0]["value"]}, None]}, "x"]
    assert len(read(document)) == 3
    assert len({each.key for each in read(document)}) == 3
    assert [each.key for each in read(document)] == [each.key for each in read(document)]


def test_a_message_of_others_is_left_out() -> None:
    assert (
        receipts(status("delivered", biz_opaque_callback_data=None), status("delivered", biz_opaque_callback_data=""))
        == []
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (written(), "Wo bleibt es?"),
        (written("button", button={"text": "STOP", "payload": "x"}), "STOP"),
        (written("interactive", interactive={"type": "button_reply", "button_reply": {"title": "Ja"}}), "Ja"),
        (written("interactive", interactive={"type": "list_reply", "list_reply": {"title": "Nein"}}), "Nein"),
        (written("image", image={"id": "1", "caption": "So sieht es aus"}), "So sieht es aus"),
        (written("audio", audio={"id": "1"}), ""),
        (written("text", text={"body": "x" * 5000}), "x" * 1600),
    ],
)
def test_what_a_customer_writes_is_a_reply(message: dict[str, Any], text: str) -> None:
    (reply,) = replies(messages=[message])
    assert (reply.channel, reply.address, reply.text, reply.keyword) == ("whatsapp", f"+{NUMBER}", text, None)
    assert reply.at == NOW - 5 * SECOND


@pytest.mark.parametrize(
    "message",
    [
        written("reaction", reaction={"emoji": "👍"}),
        written("system", system={"body": "number changed"}),
        written("unsupported", errors=[]),
        {**written(), "id": ""},
    ],
)
def test_what_is_no_message_is_no_reply(message: dict[str, Any]) -> None:
    assert replies(messages=[message]) == []


@pytest.mark.parametrize("sender", ["user.name", None])
def test_a_message_of_who_hides_the_number_is_read_without_it(sender: str | None) -> None:
    (reply,) = replies(messages=[{**written(), "from": sender}])
    assert (reply.address, reply.text) == ("", "Wo bleibt es?")


def test_what_is_written_to_another_number_says_so() -> None:
    other = {"display_phone_number": "1", "phone_number_id": "999999999"}
    for metadata in (other, None):
        assert [each.elsewhere for each in replies(messages=[written()], metadata=metadata)] == [True]
    assert [each.elsewhere for each in replies(messages=[written()])] == [False]


@pytest.mark.parametrize(
    ("wish", "keywords"),
    [
        ({"category": "marketing_messages", "value": "stop"}, ["stop_advertising"]),
        ({"category": "marketing_messages", "value": "resume"}, []),
        ({"category": "other", "value": "stop"}, []),
    ],
)
def test_who_stops_advertising_at_meta_stops_it_here(wish: dict[str, str], keywords: list[str]) -> None:
    found = replies(user_preferences=[{"wa_id": NUMBER, "timestamp": SECONDS, **wish}])
    assert [each.keyword for each in found] == keywords
    assert all(each.address == f"+{NUMBER}" and each.at == NOW for each in found)


def test_the_signature_is_that_of_metas_documents() -> None:
    body, digest = VECTOR
    assert read_receipts(SETTINGS, request(body, {"X-Hub-Signature-256": f"sha256={digest}"})) == []


@pytest.mark.parametrize(
    "header",
    ["", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "0" * 64, "\xe4"],
)
def test_what_is_not_signed_is_refused(header: str) -> None:
    body = body_of(change(statuses=[status("delivered")]))
    refused(lambda: read_receipts(SETTINGS, request(body, {"X-Hub-Signature-256": header})), "APP_SECRET")
    refused(lambda: read_receipts(SETTINGS, signed(body, "another-secret-0000001")), "APP_SECRET")
    good = signed(body)
    changed = ReceiptRequest(good.headers, {}, body + b" ", NOW)
    refused(lambda: read_receipts(SETTINGS, changed), "APP_SECRET")
    refused(lambda: read_receipts(WhatsappCloudSettings(), good), "TACTFUL_WHATSAPP_CLOUD__APP_SECRET is not set")


def ask(**query: str) -> ReceiptRequest:
    good = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}
    return ReceiptRequest({}, {**good, **{f"hub.{name}": value for name, value in query.items()}}, b"", NOW)


def test_who_knows_the_token_gets_its_challenge_back() -> None:
    assert answer_challenge(SETTINGS, ask()) == "1158201444"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"verify_token": "other"}, "VERIFY_TOKEN"),
        ({"verify_token": "\ud800"}, "VERIFY_TOKEN"),
        ({"verify_token": ""}, "VERIFY_TOKEN"),
        ({"mode": "unsubscribe"}, "VERIFY_TOKEN"),
        ({"challenge": ""}, "hub.challenge"),
        ({"challenge": "<script>"}, "hub.challenge"),
        ({"challenge": "x" * 201}, "hub.challenge"),
    ],
)
def test_nobody_else_gets_an_answer(query: dict[str, str], words: str) -> None:
    refused(lambda: answer_challenge(SETTINGS, ask(**query)), words)
    refused(lambda: answer_challenge(WhatsappCloudSettings(), ask(**query)), "VERIFY_TOKEN is not set")


def test_whatever_stands_in_a_signed_body_is_read_or_refused() -> None:
    document = change(statuses=[status("failed", 131026)], messages=[written()], user_preferences=[{"wa_id": NUMBER}])
    value = document["entry"][0]["changes"][0]["value"]

    @settings(max_examples=150, deadline=None)
    @given(any_json() | with_any_fields(value).map(lambda each: {"entry": [{"changes": [{"value": each}]}]}))
    def hypothetical(found: Any) -> None:
        with suppress(Malformed):
            assert all(isinstance(each, Receipt | CustomerReply) for each in read(found))

    hypothetical()
    stands_all_headers(lambda asked: read_receipts(SETTINGS, asked), ["X-Hub-Signature-256"])

"""Receipts and replies from Twilio: what each says, and who may send them.

The signatures in VECTORS were made by `RequestValidator` of twilio-python 9.13.0; the first is the example of Twilio's
own tests and documentation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.receipt import CustomerReply, Receipt, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.twilio.declaration import TwilioSettings
from services.orchestrator.delivery.adapters.twilio.error_codes import ERROR_CODES
from services.orchestrator.delivery.adapters.twilio.receipts import read_receipts
from tests.support.receipt_requests import MESSAGE, NOW, check_form, kinds, refused, stands_all_headers

TOKEN = "auth-token-of-the-tests-0001"
URL = "https://shop.example/v1/receipts/twilio"
NUMBER = "+4915112345678"
SETTINGS = TwilioSettings(key=SecretStr(TOKEN), receipts_url=URL)
SID = "SM" + "1" * 32
QUERY = f"tactful_message={MESSAGE}"
STATUS = {
    "SmsSid": SID,
    "SmsStatus": "delivered",
    "MessageStatus": "delivered",
    "To": NUMBER,
    "MessageSid": SID,
    "AccountSid": "AC" + "2" * 32,
    "From": "+15017122661",
    "ApiVersion": "2010-04-01",
}
INBOUND = {
    "ToCountry": "US",
    "ToState": "",
    "SmsMessageSid": "SM" + "3" * 32,
    "NumMedia": "0",
    "Body": "Bitte nicht mehr, größte Not & Mühe+1 😀",
    "From": NUMBER,
    "To": "+15017122661",
    "MessageSid": "SM" + "3" * 32,
    "AccountSid": "AC" + "2" * 32,
    "NumSegments": "1",
}
REPEATED = {"Body": ["stop"], "MediaUrl": ["b", "a", "b"], "From": ["+49"]}
PUBLISHED = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
VECTORS: list[tuple[str, str, str, Mapping[str, Any], str]] = [
    ("12345", "https://mycompany.com/myapp.php", "foo=1&bar=2", PUBLISHED, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (TOKEN, URL, QUERY, STATUS, "XpouzKZKS/WPSbD/jr5JZ+mOpA8="),
    (TOKEN, URL, "", INBOUND, "+X0gSuG8DEHI3UoDPbhEJUD/FWI="),
    (TOKEN, URL, "", INBOUND, "jxPVGcl2QAQ1oMuY5QccEYCjC1o="),  # over the URL with its port
    (TOKEN, URL, "", REPEATED, "lXCYGRYdvMUMSV0VzLjVqdw0o70="),
]


def request_of(form: Mapping[str, Any], query: str, signature: str) -> ReceiptRequest:
    """What arrives at the route."""
    body = urlencode(form, doseq=True).encode()
    return ReceiptRequest({"x-twilio-signature": signature}, dict(parse_qsl(query)), body, NOW, query)


def signed(form: Mapping[str, str], query: str = QUERY, token: str = TOKEN, url: str = URL) -> ReceiptRequest:
    """A request as Twilio signs it."""
    text = url + (f"?{query}" if query else "") + "".join(f"{name}{form[name]}" for name in sorted(form))
    digest = hmac.new(token.encode(), text.encode("utf-8", "replace"), hashlib.sha1).digest()
    return request_of(form, query, base64.b64encode(digest).decode())


def status(name: str, code: str = "", **fields: str) -> dict[str, str]:
    return {**STATUS, "MessageStatus": name, "SmsStatus": name, **({"ErrorCode": code} if code else {}), **fields}


def inbound(text: str, **fields: str) -> dict[str, str]:
    return {**INBOUND, "Body": text, **fields}


def read(form: Mapping[str, str], **how: Any) -> Sequence[Statement]:
    return read_receipts(SETTINGS, signed(form, **how))


def receipts_of(form: Mapping[str, str], **how: Any) -> list[Receipt]:
    found = read(form, **how)
    assert all(isinstance(each, Receipt) for each in found)
    return [each for each in found if isinstance(each, Receipt)]


@pytest.mark.parametrize(("token", "url", "query", "form", "signature"), VECTORS)
def test_signatures_of_twilio_itself_are_right(
    token: str, url: str, query: str, form: Mapping[str, Any], signature: str
) -> None:
    settings_of = TwilioSettings.model_construct(key=SecretStr(token), receipts_url=url)
    read_receipts(settings_of, request_of(form, query, signature))
    for wrong in (signature[:-2] + "A=", "", "ü", signature.lower()):
        refused(partial(read_receipts, settings_of, request_of(form, query, wrong)), "X-Twilio-Signature")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (status("delivered"), [("delivered", False, False)]),
        (status("read"), [("opened", False, False)]),
        (status("undelivered", "30003"), [("bounced", False, False)]),
        (status("undelivered", "30005"), [("bounced", True, False)]),
        (status("undelivered", "30006"), [("bounced", True, False)]),
        (status("undelivered", "30007"), [("bounced", False, False)]),
        (status("undelivered", "30008"), [("bounced", False, False)]),
        (status("undelivered", ""), [("bounced", False, False)]),
        (status("undelivered", "21610"), [("failed", False, False), ("unsubscribed", False, False)]),
        (status("failed", "30001"), [("failed", False, False)]),
        (status("failed", "30034"), [("failed", False, False)]),
        (status("failed", "21211"), [("failed", False, False), ("bounced", True, False)]),
        (status("failed", "21614"), [("failed", False, False), ("bounced", True, False)]),
        (status("failed", "21610"), [("failed", False, False), ("unsubscribed", False, False)]),
        (status("failed", NUMBER), [("failed", False, False)]),
        (status("canceled"), [("failed", False, False)]),
        (status("delivered", "30005"), [("delivered", False, False)]),
        *(
            (status(name), [])
            for name in ("accepted", "scheduled", "queued", "sending", "sent", "receiving", "new", "")
        ),
    ],
)
def test_each_status_has_its_meaning(form: dict[str, str], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = receipts_of(form)
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW)}
    check_form(receipts, "twilio")
    assert NUMBER not in repr(receipts)


def test_every_code_of_a_dead_number_is_permanent() -> None:
    for code, meaning in ERROR_CODES.items():
        found = receipts_of(status("undelivered", code))
        assert any(each.permanent for each in found) == (meaning == "dead"), code


def test_a_statement_has_one_key_however_often_it_comes() -> None:
    first, again = receipts_of(status("delivered")), receipts_of(status("delivered", ApiVersion="2026-01-01"))
    assert [each.key for each in first] == [each.key for each in again]
    others = [status("delivered", MessageSid="SM" + "4" * 32), status("undelivered"), status("undelivered", "30005")]
    assert len({receipts_of(each)[0].key for each in [status("delivered"), *others]}) == 4


@pytest.mark.parametrize("query", ["", "tactful_message=", "tactful_message=a%20b", "other=msg_1", "tactful_message"])
def test_messages_of_others_are_left_out(query: str) -> None:
    assert read(status("delivered"), query=query) == []


def test_a_reply_is_read_whole() -> None:
    (reply,) = read(INBOUND, query="")
    assert isinstance(reply, CustomerReply)
    assert (reply.channel, reply.address, reply.text, reply.at) == ("sms", NUMBER, INBOUND["Body"], NOW)
    assert reply.keyword is None
    assert reply.key != receipts_of(status("delivered", MessageSid=INBOUND["MessageSid"]))[0].key
    (long,) = read(inbound("x" * 5000), query="")
    assert isinstance(long, CustomerReply)
    assert len(long.text) == 1600


@pytest.mark.parametrize(
    ("given_type", "keyword"), [("STOP", "stop"), ("START", "start"), ("HELP", "help"), ("other", None), ("", None)]
)
def test_what_twilio_has_understood_counts(given_type: str, keyword: str | None) -> None:
    (reply,) = read(inbound("Genug jetzt", OptOutType=given_type), query="")
    assert isinstance(reply, CustomerReply)
    assert reply.keyword == keyword


def test_a_reply_on_whatsapp_is_one_on_that_channel() -> None:
    (reply,) = read(inbound("stop", From=f"whatsapp:{NUMBER}"), query="")
    assert isinstance(reply, CustomerReply)
    assert (reply.channel, reply.address, reply.text) == ("whatsapp", NUMBER, "stop")


@pytest.mark.parametrize(
    "form",
    [
        inbound("stop", From="whatsapp:ada"),
        inbound("stop", From="24680"),
        inbound("stop", MessageSid=""),
        {"From": NUMBER, "MessageSid": SID},
        {},
    ],
)
def test_what_is_no_reply_is_left_out(form: dict[str, str]) -> None:
    assert read(form, query="") == []


def test_without_what_proves_the_sender_everything_is_refused() -> None:
    whole = signed(STATUS)
    refused(lambda: read_receipts(TwilioSettings(receipts_url=URL), whole), "TACTFUL_TWILIO__KEY")
    refused(lambda: read_receipts(TwilioSettings(key=SecretStr(TOKEN)), whole), "TACTFUL_TWILIO__RECEIPTS_URL")
    with_api_key = TwilioSettings(key=SecretStr(TOKEN), key_sid="SK" + "0" * 32, receipts_url=URL)
    refused(lambda: read_receipts(with_api_key, whole), "TACTFUL_TWILIO__AUTH_TOKEN")
    both = with_api_key.model_copy(update={"auth_token": SecretStr(TOKEN), "key": SecretStr("another-key-00000")})
    assert len(read_receipts(both, whole)) == 1


@pytest.mark.parametrize(
    "forged",
    [
        signed(STATUS, token="another-token-of-somebody"),
        signed(STATUS, url="https://other.example/v1/receipts/twilio"),
        request_of(STATUS, QUERY, ""),
        request_of(STATUS, QUERY, "ü"),
        request_of(status("failed", "21211"), QUERY, signed(STATUS).headers["x-twilio-signature"]),
        request_of(STATUS, "tactful_message=msg_2", signed(STATUS).headers["x-twilio-signature"]),
    ],
)
def test_what_is_forged_is_refused(forged: ReceiptRequest) -> None:
    refused(lambda: read_receipts(SETTINGS, forged), "X-Twilio-Signature")


@pytest.mark.parametrize("body", [b"\xff=1", "ü=1".encode(), b"&".join(b"a=1" for _ in range(201))])
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, ReceiptRequest({}, {}, body, NOW))


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*STATUS, "ErrorCode", "Body", "OptOutType", "x"]),
        st.text(max_size=30) | st.sampled_from(["failed", "undelivered", "21610", "30005", NUMBER]),
    )
)
def test_nothing_else_is_raised_whatever_is_signed(form: dict[str, str]) -> None:
    form = {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
    assert all(isinstance(each, Receipt | CustomerReply) for each in read(form))


def test_headers_of_nobody_are_refused() -> None:
    stands_all_headers(lambda each: read_receipts(SETTINGS, each), ["X-Twilio-Signature"])

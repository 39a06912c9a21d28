"""Receipts of SES by SNS: what each event means, and who may send them."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from schemas.receipt import Receipt
from schemas.times import HOUR, SECOND, format_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import DocumentNeeded, ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.ses.declaration import SesSettings
from services.orchestrator.delivery.adapters.ses.receipts import MEANINGS, PERMANENT_BOUNCES, read_receipts
from services.orchestrator.delivery.adapters.ses.sns import OLDEST
from tests.support.receipt_requests import (
    ADDRESS,
    MESSAGE,
    NOW,
    body_of,
    check_form,
    kinds,
    refused,
    stands_everything,
    with_any_fields,
)

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mails"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = (
    f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={'2336412f37fb' * 10}"
)
SETTINGS = SesSettings(topic_arn=TOPIC)
AT = format_instant(NOW - SECOND)


@cache
def signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer().public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=400))
        .sign(signer(), SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def public_key() -> str:
    public = signer().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()


def sign(message: dict[str, Any], version: str = "1") -> dict[str, Any]:
    """The message with the signature that SNS documents, over its fields in the order of their names."""
    fields = ("Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type")
    text = "".join(f"{name}\n{message[name]}\n" for name in fields if name in message)
    signature = signer().sign(text.encode(), PKCS1v15(), SHA256() if version == "2" else SHA1())
    return {**message, "SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}


def notification(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": text,
        "Timestamp": format_instant(NOW),
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **fields,
    }


def confirmation(**fields: Any) -> dict[str, Any]:
    plain = notification("You have chosen to subscribe", Type="SubscriptionConfirmation", **fields)
    del plain["Subject"], plain["UnsubscribeURL"]
    return {**plain, "Token": "2336412f37fb", "SubscribeURL": fields.get("SubscribeURL", SUBSCRIBE_URL)}


def arrived(message: Any, documents: Mapping[str, bytes] | None = None, now: int = NOW) -> ReceiptRequest:
    found = {CERTIFICATE_URL: certificate()} if documents is None else documents
    return ReceiptRequest({"content-type": "text/plain; charset=UTF-8"}, {}, body_of(message), now, documents=found)


def event(name: str, field: str = "", described: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "eventType": name,
        "mail": {
            "timestamp": format_instant(NOW - HOUR),
            "messageId": "0102018-1",
            "destination": [ADDRESS],
            "tags": {"tactful_message": [MESSAGE], "ses:configuration-set": ["shop"]},
        },
        **({} if described is None else {field: {"timestamp": AT, **described}}),
        **fields,
    }


def bounce(type: str, sub_type: str, **fields: Any) -> dict[str, Any]:
    recipients = [{"emailAddress": ADDRESS, "status": "5.1.1", "diagnosticCode": f"550 no {ADDRESS}"}]
    described = {"bounceType": type, "bounceSubType": sub_type, "bouncedRecipients": recipients, "feedbackId": "f-1"}
    return event("Bounce", "bounce", {**described, **fields})


def read(data: Any, version: str = "1") -> Sequence[Receipt]:
    return read_receipts(SETTINGS, arrived(sign(notification(body_of(data).decode()), version)))


GONE = [("failed", False, False), ("bounced", True, False)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (event("Send", "send", {}), []),
        (event("DeliveryDelay", "deliveryDelay", {"delayType": "MailboxFull"}), []),
        (event("Delivery", "delivery", {"recipients": [ADDRESS]}), [("delivered", False, False)]),
        (bounce("Permanent", "General"), [("bounced", True, False)]),
        (bounce("Permanent", "NoEmail"), [("bounced", True, False)]),
        (bounce("Permanent", "Suppressed"), GONE),
        (bounce("Permanent", "OnAccountSuppressionList"), GONE),
        (
            bounce("Permanent", "UnsubscribedRecipient"),
            [("failed", False, False), ("unsubscribed", False, False)],
        ),
        (bounce("Transient", "MailboxFull"), [("bounced", False, False)]),
        (bounce("Undetermined", "Undetermined"), [("bounced", False, False)]),
        (event("Complaint", "complaint", {"complaintFeedbackType": "abuse"}), [("complained", False, False)]),
        (event("Complaint", "complaint", {"complaintFeedbackType": "not-spam"}), []),
        (event("Reject", "reject", {"reason": "Bad content"}), [("failed", False, False)]),
        (event("Rendering Failure", "failure", {"templateName": "x"}), [("failed", False, False)]),
        (event("Open", "open", {"ipAddress": "192.0.2.1"}), [("opened", False, False)]),
        (event("Click", "click", {"link": "https://shop.example/"}), [("clicked", False, False)]),
        (
            event("Subscription", "subscription", {"newTopicPreferences": {"unsubscribeAll": True}}),
            [("unsubscribed", False, False)],
        ),
        (event("Subscription", "subscription", {"newTopicPreferences": {"unsubscribeAll": False}}), []),
        (event("Unheard"), []),
        (event("Delivery"), [("delivered", False, False)]),
        ({}, []),
    ],
)
@pytest.mark.parametrize("version", ["1", "2"])
def test_what_an_event_means(data: Any, expected: list[tuple[str, bool, bool]], version: str) -> None:
    receipts = read(data, version)
    assert kinds(receipts) == expected
    check_form(receipts, "ses")
    assert all(each.message_id == MESSAGE for each in receipts)


def test_every_row_of_the_tables_is_tested() -> None:
    assert {"Delivery", "Bounce", "Complaint", "Reject", "Rendering Failure", "Open", "Click", "Subscription"} == {
        *MEANINGS
    }
    assert set(PERMANENT_BOUNCES) == {"Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"}


def test_the_time_of_an_event_is_its_own_or_that_of_the_mail() -> None:
    assert [each.at for each in read(bounce("Permanent", "General"))] == [NOW - SECOND]
    assert [each.at for each in read(event("Reject", "reject", None))] == [NOW - HOUR]
    assert [each.at for each in read(event("Delivery", mail={"tags": {"tactful_message": [MESSAGE]}}))] == [NOW]


def test_codes_are_kept_and_texts_are_not() -> None:
    (receipt,) = read(bounce("Permanent", "General"))
    assert receipt.detail == "Permanent, General, 5.1.1"


def test_notifications_of_an_identity_say_the_message_in_their_headers() -> None:
    headers = [{"name": "From", "value": "x"}, {"name": "X-Tactful-Message", "value": MESSAGE}]
    old = bounce("Permanent", "General")
    data = {**old, "notificationType": old.pop("eventType"), "mail": {"messageId": "1", "headers": headers}}
    assert kinds(read(data)) == [("bounced", True, False)]
    assert read({**data, "mail": {"messageId": "1", "headers": "x"}}) == []


def test_a_repetition_is_known_as_one_and_another_event_is_another() -> None:
    first, again = read(bounce("Permanent", "General")), read(bounce("Permanent", "General"))
    assert first[0].key == again[0].key
    others = [
        bounce("Permanent", "General", feedbackId="f-2"),
        event("Click", "click", {"link": "a"}),
        event("Click", "click", {"link": "b"}),
        event("Open", "open", {}),
        event("Open", "open", {"timestamp": format_instant(NOW)}),
    ]
    assert len({first[0].key, *(read(each)[0].key for each in others)}) == 6


def test_a_certificate_is_asked_for_once_everything_else_fits() -> None:
    good = sign(notification(body_of(event("Delivery")).decode()))
    with pytest.raises(DocumentNeeded) as needed:
        read_receipts(SETTINGS, arrived(good, {}))
    assert needed.value.url == CERTIFICATE_URL
    with_key = SETTINGS.model_copy(update={"sns_key": public_key()})
    assert kinds(read_receipts(with_key, arrived(good, {}))) == [("delivered", False, False)]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-west-2.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-01.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem?x=y",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem\n",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com/other.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-01.pem",
        "https://snsxeu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        "",
        None,
    ],
)
def test_certificates_are_asked_for_at_sns_alone(url: str | None) -> None:
    refused(
        lambda: read_receipts(SETTINGS, arrived(sign(notification("{}", SigningCertURL=url)), {})), "SigningCertURL"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Message": "{}"}, "Signature"),
        ({"MessageId": "x"}, "Signature"),
        ({"Timestamp": format_instant(NOW - SECOND)}, "Signature"),
        ({"Signature": "AAAA"}, "Signature"),
        ({"Signature": "no base64"}, "Signature"),
        ({"Signature": None}, "Signature"),
        ({"SignatureVersion": "2"}, "Signature"),
        ({"SignatureVersion": "3"}, "SignatureVersion"),
        ({"SignatureVersion": None}, "SignatureVersion"),
        ({"Type": "Other"}, "TACTFUL_SES__TOPIC_ARN"),
        ({"TopicArn": TOPIC + "x"}, "TACTFUL_SES__TOPIC_ARN"),
        ({"TopicArn": None}, "TACTFUL_SES__TOPIC_ARN"),
        ({"Timestamp": "soon"}, "Timestamp"),
    ],
)
def test_what_is_not_signed_is_refused(change: Mapping[str, Any], words: str) -> None:
    good = sign(notification(body_of(bounce("Permanent", "General")).decode()))
    refused(lambda: read_receipts(SETTINGS, arrived({**good, **change})), words)


def test_a_message_of_a_strangers_topic_is_refused_before_a_certificate_is_fetched() -> None:
    stranger = sign(notification("{}", TopicArn="arn:aws:sns:eu-west-1:999999999999:mails"))
    refused(lambda: read_receipts(SETTINGS, arrived(stranger, {})), "TACTFUL_SES__TOPIC_ARN")
    refused(lambda: read_receipts(SesSettings(), arrived(stranger)), "TACTFUL_SES__TOPIC_ARN is not set")


@pytest.mark.parametrize(("age", "good"), [(0, True), (OLDEST, True), (OLDEST + 1, False), (-300, True), (-301, False)])
def test_a_message_is_of_this_day(age: int, good: bool) -> None:
    message = sign(notification("{}", Timestamp=format_instant(NOW - age * SECOND)))
    if good:
        assert read_receipts(SETTINGS, arrived(message)) == []
    else:
        refused(lambda: read_receipts(SETTINGS, arrived(message)), "Timestamp")


def test_another_key_signs_nothing() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    settings = SETTINGS.model_copy(update={"sns_key": base64.b64encode(der).decode()})
    refused(lambda: read_receipts(settings, arrived(sign(notification("{}")))), "Signature")


@pytest.mark.parametrize("document", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_proves_nothing(document: bytes) -> None:
    with pytest.raises(ReceiptRefused, match="certificate"):
        read_receipts(SETTINGS, arrived(sign(notification("{}")), {CERTIFICATE_URL: document}))


def test_a_subscription_is_confirmed_by_asking_for_its_page() -> None:
    message = sign(confirmation())
    with pytest.raises(DocumentNeeded) as needed:
        read_receipts(SETTINGS, arrived(message))
    assert needed.value.url == SUBSCRIBE_URL
    confirmed = {CERTIFICATE_URL: certificate(), SUBSCRIBE_URL: b"<ConfirmSubscriptionResponse/>"}
    assert read_receipts(SETTINGS, arrived(message, confirmed)) == []


def test_the_end_of_a_subscription_asks_for_nothing() -> None:
    assert read_receipts(SETTINGS, arrived(sign({**confirmation(), "Type": "UnsubscribeConfirmation"}))) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&Token=1",
        "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&Token=1",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=1",
        "http://169.254.169.254/?Action=ConfirmSubscription&Token=1",
        "",
    ],
)
def test_a_subscription_is_confirmed_at_sns_alone(url: str) -> None:
    refused(lambda: read_receipts(SETTINGS, arrived(sign(confirmation(SubscribeURL=url)))), "SubscribeURL")


def test_a_subscription_of_another_topic_is_not_confirmed() -> None:
    message = sign(confirmation(TopicArn=TOPIC + "2"))
    refused(lambda: read_receipts(SETTINGS, arrived(message)), "TACTFUL_SES__TOPIC_ARN")


def test_the_first_sentence_of_a_new_topic_is_no_receipt() -> None:
    text = "Successfully validated SNS topic for Amazon SES event publishing."
    assert read_receipts(SETTINGS, arrived(sign(notification(text)))) == []
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, arrived(sign(notification("{"))))


def test_whatever_stands_in_a_signed_event_is_read_or_refused() -> None:
    def read_signed(body: bytes) -> Sequence[Receipt]:
        return read_receipts(SETTINGS, arrived(sign(notification(body.decode("utf-8", "replace")), "2")))

    stands_everything(read_signed, with_any_fields(bounce("Permanent", "General")))


def test_whatever_stands_in_a_request_is_refused() -> None:
    def read_raw(body: bytes) -> Sequence[Receipt]:
        found = {CERTIFICATE_URL: certificate()}
        try:
            return read_receipts(SETTINGS, ReceiptRequest({}, {}, body, NOW, documents=found))
        except DocumentNeeded:
            return []

    stands_everything(read_raw, with_any_fields(sign(notification("{}"))) | st.just(confirmation()))

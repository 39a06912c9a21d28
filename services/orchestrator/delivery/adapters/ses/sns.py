"""Messages of Amazon SNS, which carries what SES tells: who signed them, and confirming that we want them.

Everybody can own a topic, and SNS signs for all of them alike. So a message counts only if it is of the topic that the
settings name; and nothing is asked for at an address that is not of SNS.
"""

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_pem_x509_certificate

from schemas.times import SECOND
from services.orchestrator.delivery.adapters.definition import DocumentNeeded, ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    check_age,
    read_instant,
    read_object,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.ses.declaration import SesSettings

OLDEST: Final = 25 * 3600
"""Seconds. A message is signed when it is published, and SNS repeats it for an hour, or as the topic says."""
HASHES: Final[Mapping[str, type[HashAlgorithm]]] = {"1": SHA1, "2": SHA256}
"""SignatureVersion -> what is signed. A topic has 1 unless its owner has set 2."""
NOTIFICATION: Final = "Notification"
CONFIRMATIONS: Final = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(CONFIRMATIONS, ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")),
}
_HOST: Final = r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?/"
_CERTIFICATE_URL: Final = re.compile(rf"{_HOST}SimpleNotificationService-[A-Za-z0-9]{{1,64}}\.pem")
_SUBSCRIBE_URL: Final = re.compile(rf"{_HOST}\?Action=ConfirmSubscription&[A-Za-z0-9&=:%._~-]{{1,2000}}")


def read_notification(settings: SesSettings, request: ReceiptRequest) -> str | None:
    """The text that our topic has sent; None for a message about the subscription itself, which is confirmed.

    Raises ReceiptRefused, Malformed and DocumentNeeded.
    """
    topic = require_receipt_setting(settings, "ses", "topic_arn")
    message = read_object(request.body)
    kind = find_text(message, "Type")
    if kind not in _SIGNED or find_text(message, "TopicArn") != topic:
        raise ReceiptRefused("this is no message of the topic TACTFUL_SES__TOPIC_ARN")
    at = read_instant(find_text(message, "Timestamp"))
    if at is None:
        raise ReceiptRefused("Timestamp is no time")
    check_age(str(max(at, 0) // SECOND), request.now, OLDEST, "Timestamp")
    _check_signature(_find_key(settings, message, request), kind, message)
    if kind == NOTIFICATION:
        return find_text(message, "Message")
    if kind == "SubscriptionConfirmation":
        _confirm(find_text(message, "SubscribeURL"), request)
    return None


def _find_key(settings: SesSettings, message: Mapping[str, Any], request: ReceiptRequest) -> RSAPublicKey:
    if settings.sns_key is not None:
        return _load_key(settings.sns_key)
    url = find_text(message, "SigningCertURL")
    region = find_text(message, "TopicArn").split(":")[3]
    if not _CERTIFICATE_URL.fullmatch(url) or not url.startswith(f"https://sns.{region}."):
        raise ReceiptRefused("SigningCertURL is no certificate at sns.REGION.amazonaws.com, in the topic's region")
    if url not in request.documents:
        raise DocumentNeeded(url)
    return _load_certificate_key(request.documents[url])


def _check_signature(key: RSAPublicKey, kind: str, message: Mapping[str, Any]) -> None:
    """Raises ReceiptRefused unless the message is signed, as its version says."""
    algorithm = HASHES.get(find_text(message, "SignatureVersion"))
    if algorithm is None:
        raise ReceiptRefused("SignatureVersion must be 1 or 2")
    lines = (f"{name}\n{message[name]}\n" for name in _SIGNED[kind] if isinstance(message.get(name), str))
    try:
        signature = base64.b64decode(find_text(message, "Signature"), validate=True)
        key.verify(signature, "".join(lines).encode("utf-8", "replace"), PKCS1v15(), algorithm())
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        raise ReceiptRefused("Signature does not fit the message") from None


def _confirm(url: str, request: ReceiptRequest) -> None:
    """Asks for the page that confirms the subscription, which is all that SNS wants."""
    if not _SUBSCRIBE_URL.fullmatch(url):
        raise ReceiptRefused("SubscribeURL is no confirmation at sns.REGION.amazonaws.com")
    if url not in request.documents:
        raise DocumentNeeded(url)


@lru_cache(4)
def _load_key(text: str) -> RSAPublicKey:
    """Raises ReceiptRefused for a text that is no key, though it looks like one."""
    try:
        key = load_der_public_key(base64.b64decode(text))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ReceiptRefused("TACTFUL_SES__SNS_KEY is no key of RSA")
    return key


@lru_cache(16)
def _load_certificate_key(pem: bytes) -> RSAPublicKey:
    """Raises ReceiptRefused for what is no certificate."""
    try:
        key = load_pem_x509_certificate(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ReceiptRefused("what stands at SigningCertURL is no certificate with a key of RSA")
    return key

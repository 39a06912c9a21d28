"""Amazon SES: `POST /v2/email/outbound-emails`, signed with version 4. Takes whatever comes; receipts are messages of a
topic of SNS, signed with RSA.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from email import message_from_bytes
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.times import Instant, format_instant
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    MESSAGE_FIELD,
    LabAnswer,
    LabProvider,
    LabRequest,
    ReceiptPost,
    RequestRefused,
    Statement,
    Submission,
    bare_address,
    find,
    find_text,
    is_address,
    read_json,
)
from services.lab.rsa_keys import derive_rsa_key

KEY, KEY_ID, SIGNER = "ses key", "ses key id", "ses signer"
REGION: Final = "eu-central-1"
TOPIC: Final = f"arn:aws:sns:{REGION}:000000000000:lab"
PATH: Final = "/v2/email/outbound-emails"
EVENTS: Final[Mapping[str, tuple[str, str, Mapping[str, Any]]]] = {
    "delivered": ("Delivery", "delivery", {"smtpResponse": "250 OK"}),
    "bounced": ("Bounce", "bounce", {"bounceType": "Permanent", "bounceSubType": "NoEmail"}),
    "soft_bounced": ("Bounce", "bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull"}),
    "failed": ("Reject", "reject", {"reason": "Bad content"}),
    "complained": ("Complaint", "complaint", {"complaintFeedbackType": "abuse"}),
    "opened": ("Open", "open", {"userAgent": "lab"}),
    "clicked": ("Click", "click", {"link": "https://shop.example/"}),
    "unsubscribed": ("Subscription", "subscription", {"newTopicPreferences": {"unsubscribeAll": True}}),
}
"""Kind of a statement -> event, the field that describes it, and what that says."""
_PROOF: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([a-z0-9-]+)/ses/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def _aws_error(status: int, type: str, text: str) -> LabAnswer:
    return LabAnswer(status, {"message": text}, {"x-amzn-errortype": f"{type}:http://internal.amazon.com/lab/"})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    public = derive_rsa_key(keys.derive(SIGNER)).public_key()
    return {
        "url": url,
        "region": REGION,
        "access_key_id": keys.derive_text(KEY_ID)[:20].upper(),
        "key": keys.derive_text(KEY),
        "topic_arn": TOPIC,
        "sns_key": base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
    }


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", PATH):
        raise RequestRefused(_aws_error(404, "UnknownOperationException", ""))
    if not _is_signed(keys, request):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    asked = read_json(request.body)
    if not isinstance(asked, dict):
        raise RequestRefused(_aws_error(400, "SerializationException", ""))
    to = find(asked, "Destination", "ToAddresses")
    if not (isinstance(to, list) and len(to) == 1 and isinstance(to[0], str) and is_address(to[0])):
        raise RequestRefused(PROVIDER.refusals["address"])
    _check_mail(find_text(asked, "Content", "Raw", "Data"))
    tags = find(asked, "EmailTags")
    names = {find_text(tag, "Name"): find_text(tag, "Value") for tag in tags} if isinstance(tags, list) else {}
    return Submission(names.get(MESSAGE_FIELD, ""), to[0])


def _check_mail(data: str) -> None:
    """Raises RequestRefused for what is no mail with a sender and a subject."""
    try:
        mail = message_from_bytes(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise RequestRefused(_aws_error(400, "SerializationException", "")) from None
    if not is_address(bare_address(str(mail.get("From", "")))):
        raise RequestRefused(_aws_error(400, "BadRequestException", "Missing required header 'From'."))
    if not mail.get("Subject"):
        raise RequestRefused(_aws_error(400, "MessageRejected", "The lab wants a subject."))


def _is_signed(keys: LabKeys, request: LabRequest) -> bool:
    """Whether the signature is that of our key over these headers and this body."""
    proof = _PROOF.fullmatch(request.headers.get("authorization", ""))
    if proof is None or proof[1] != keys.derive_text(KEY_ID)[:20].upper() or proof[3] != REGION:
        return False
    moment, names = request.headers.get("x-amz-date", ""), proof[4].split(";")
    if not moment.startswith(proof[2]) or not {"host", "x-amz-date"} <= set(names):
        return False
    lines = [f"{name}:{request.headers.get(name, '').strip()}\n" for name in names]
    parts = ("POST", f"/ses{request.path}", "", "".join(lines), proof[4], hashlib.sha256(request.body).hexdigest())
    scope = f"{proof[2]}/{REGION}/ses/aws4_request"
    digest = hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()
    key = f"AWS4{keys.derive_text(KEY)}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    right = hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode("utf-8", "replace"), "sha256")
    return hmac.compare_digest(right.hex(), proof[5])


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(200, {"MessageId": provider_id})


def _write_receipt(keys: LabKeys, statement: Statement, now: Instant) -> ReceiptPost | None:
    if statement.kind not in EVENTS:
        return None
    name, field, described = EVENTS[statement.kind]
    at, to = format_instant(statement.at), statement.submission.to
    mail = {
        "timestamp": at,
        "messageId": statement.provider_id,
        "destination": [to],
        "tags": {MESSAGE_FIELD: [statement.submission.message_id]},
    }
    event = {"eventType": name, "mail": mail, field: {"timestamp": at, "feedbackId": statement.id, **described}}
    message = {
        "Type": "Notification",
        "MessageId": statement.id,
        "TopicArn": TOPIC,
        "Message": msgspec.json.encode(event).decode(),
        "Timestamp": format_instant(statement.at),
        "SignatureVersion": "2",
        "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-lab.pem",
    }
    signed = "".join(f"{key}\n{message[key]}\n" for key in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
    signature = derive_rsa_key(keys.derive(SIGNER)).sign(signed.encode(), PKCS1v15(), SHA256())
    message["Signature"] = base64.b64encode(signature).decode()
    return ReceiptPost({"content-type": "text/plain; charset=UTF-8"}, msgspec.json.encode(message))


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _aws_error(
            403, "InvalidSignatureException", "The request signature we calculated does not match."
        ),
        "forbidden": _aws_error(400, "MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified."),
        "too_many": _aws_error(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
        "address": _aws_error(400, "BadRequestException", "Missing final '@domain'"),
        "error": _aws_error(500, "InternalFailure", ""),
    },
    write_receipt=_write_receipt,
)

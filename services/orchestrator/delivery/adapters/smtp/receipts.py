"""Receipts of plain SMTP are mails: delivery status notifications (RFC 3464), reports of abuse (RFC 5965), and mails by
which somebody unsubscribes (RFC 2369). `tactful receipts mail` posts them here.

None of them is signed. What counts is that the mail names a message by a token of ours (`signed_path.py`): a bounce in
the address that it goes to, a report in the mail that it quotes, who unsubscribes in the subject. A mail without one is
refused before it is parsed.
"""

import re
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.message import Message as ParsedMail
from email.parser import BytesParser
from email.policy import compat32
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Final

from schemas.receipt import Statement
from schemas.times import Instant, from_datetime
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    COMPLAINED,
    DELIVERED,
    UNSUBSCRIBED,
    ProviderStatement,
    ReceiptMeaning,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.smtp.declaration import SmtpSettings
from services.orchestrator.delivery.adapters.smtp.replies import Reply, Stage, find_meaning
from services.orchestrator.delivery.adapters.smtp.signed_path import find_signed_id

MAX_MAIL: Final = 128 * 1024
"""Bytes that are looked at. What a notification says stands before the mail that it quotes."""
MAX_LINES: Final = 2_000
"""Lines that are looked at: each may begin a part, which takes time to build."""
MAX_RECIPIENTS: Final = 10
RECIPIENT_HEADERS: Final = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
"""Where servers put the address that a mail went to; the last three also hide it from `To`."""
FEEDBACK_TYPES: Final = {
    "abuse": COMPLAINED,
    "fraud": COMPLAINED,
    "virus": (),
    "not-spam": (),
    "opt-out": UNSUBSCRIBED,
    "opt-out-list": UNSUBSCRIBED,
}
"""Feedback-Type (RFC 5965, RFC 6650) -> what it means; any other one is a complaint."""
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b", re.ASCII)
_CODE: Final = re.compile(r"\b([245]\d\d)\b", re.ASCII)


def read_receipts(settings: SmtpSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader. Mails that say nothing, such as notes of absence, are read and lead to nothing."""
    secret = require_receipt_setting(settings, "smtp", "bounce_secret")
    raw = b"\n".join(request.body[:MAX_MAIL].split(b"\n", MAX_LINES)[:MAX_LINES])
    text = raw.decode("ascii", "replace").replace("=\n", "").replace("=\r\n", "")
    if find_signed_id(secret, "bounce", [text]) is None and find_signed_id(secret, "unsubscribe", [text]) is None:
        raise Malformed("the mail names no message with a signature of ours")
    try:
        return list(_read_mail(secret, BytesParser(policy=compat32).parsebytes(raw), request))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"the mail cannot be read: {type(error).__name__}") from None


def _read_mail(secret: str, mail: ParsedMail, request: ReceiptRequest) -> Iterator[Statement]:
    at = _read_date(mail)
    to = [request.query.get("recipient", ""), *(str(value) for name in RECIPIENT_HEADERS for value in _all(mail, name))]
    kind = str(mail.get_param("report-type", "")).lower() if mail.get_content_type() == "multipart/report" else ""
    if kind == "feedback-report":
        reported = find_signed_id(secret, "bounce", [part.as_string() for part in _parts(mail)])
        for feedback, meanings in _read_feedback(mail):
            yield from _statement(reported, meanings, at, "arf", feedback).receipts("smtp", request.now)
        return
    bounced = find_signed_id(secret, "bounce", to)
    if kind == "delivery-status" and bounced is not None:
        for action, status, meanings in _read_status(mail):
            yield from _statement(bounced, meanings, at, "dsn", action, status).receipts("smtp", request.now)
        return
    subject = [" ".join(str(value) for value in _all(mail, "Subject"))]
    unsubscribed = None if kind else find_signed_id(secret, "unsubscribe", subject)
    if unsubscribed is not None:
        yield from _statement(unsubscribed, UNSUBSCRIBED, at, "mail").receipts("smtp", request.now)
    elif bounced is None:
        raise Malformed("the mail names no message with a signature of ours where its kind has it")


def _statement(
    message_id: str | None, meanings: Sequence[ReceiptMeaning], at: Instant | None, *identity: str
) -> ProviderStatement:
    return ProviderStatement(message_id or "", meanings, at, (message_id or "", *identity), identity[1:])


def _read_status(mail: ParsedMail) -> Iterator[tuple[str, str, Sequence[ReceiptMeaning]]]:
    """Action, status and meaning for each recipient. What is only delayed may still arrive."""
    for part in _parts(mail):
        if part.get_content_type() != "message/delivery-status":
            continue
        for block in islice(_parts(part), 1, 1 + MAX_RECIPIENTS):
            action, status, said = (_field(block, name) for name in ("Action", "Status", "Diagnostic-Code"))
            action = action.lower()
            found = _STATUS.search(status)
            code = "" if found is None else found[0]
            if action == "delivered":
                yield action, code, DELIVERED
            elif action == "failed":
                yield action, code, _bounce(code, said)


def _bounce(status: str, said: str) -> Sequence[ReceiptMeaning]:
    """Whether an address is dead is read as from a reply to its name in SMTP. A general status says less than what the
    last server said.
    """
    code, inner = _CODE.search(said), _STATUS.search(said)
    best = inner[0] if inner is not None and (not status or status.endswith(".0.0")) else status
    number = int(code[1]) if code is not None else int(best[:1] or 5) * 100 + 50
    text = said if best.endswith(".0.0") or not best else f"{best} {said}"
    is_dead = find_meaning(Reply(Stage.RECIPIENT, number, text)).fault == "address"
    return BOUNCED_FOR_GOOD if is_dead else BOUNCED


def _read_feedback(mail: ParsedMail) -> Iterator[tuple[str, Sequence[ReceiptMeaning]]]:
    for part in _parts(mail):
        if part.get_content_type() == "message/feedback-report":
            inner = next(_parts(part), None)
            text = str(part.get_payload()) if inner is None else inner.as_string()
            found = re.search(r"^feedback-type:[ \t]*([a-z-]{1,40})", text, re.ASCII | re.IGNORECASE | re.MULTILINE)
            feedback = found[1].lower() if found is not None else ""
            yield feedback, FEEDBACK_TYPES.get(feedback, COMPLAINED)
            return


def _parts(mail: ParsedMail) -> Iterator[ParsedMail]:
    return (part for part in (mail.get_payload() if mail.is_multipart() else ()) if isinstance(part, ParsedMail))


def _all(mail: ParsedMail, name: str) -> Sequence[object]:
    return mail.get_all(name, [])


def _field(block: ParsedMail, name: str) -> str:
    return " ".join(str(block.get(name, "")).split())


def _read_date(mail: ParsedMail) -> Instant | None:
    try:
        return max(from_datetime(parsedate_to_datetime(str(mail.get("Date", "")))), 0)
    except (ValueError, TypeError, OverflowError):
        return None

"""Receipts and replies in Tactful's own form, from senders that have no form of their own.

The body is `{"receipts": [{"message_id": "msg_...", "kind": "delivered", "at": "2026-03-02T09:00:00Z"}, ...]}`, and
what customers have answered stands beside it: `{"replies": [{"id": "...", "channel": "sms", "address": "+44...",
"text": "...", "at": "..."}]}`. It is signed according to Standard Webhooks.
"""

from collections.abc import Iterator, Sequence

import msgspec
from pydantic import SecretStr

from schemas.receipt import MAX_REPLY, CustomerReply, ReceiptKind, Statement
from schemas.times import parse_instant
from schemas.vocabulary import CHANNELS
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.provider_receipts import ProviderStatement, ReceiptMeaning, make_key
from services.orchestrator.delivery.adapters.standard_webhooks import check_standard_signature


class _OwnStatement(msgspec.Struct):
    message_id: str
    kind: ReceiptKind
    at: str
    permanent: bool = False
    by_machine: bool = False
    detail: str | None = None


class _OwnReply(msgspec.Struct):
    id: str
    channel: str
    address: str
    text: str
    at: str


class _Body(msgspec.Struct):
    receipts: list[_OwnStatement] = []
    replies: list[_OwnReply] = []


def read_own_receipts(
    adapter: str, request: ReceiptRequest, secret: SecretStr | None, second_secret: SecretStr | None = None
) -> Sequence[Statement]:
    """What a request says that is signed with one of the adapter's secrets. Raises ReceiptRefused and Malformed."""
    variable = f"TACTFUL_{adapter}__SECRET".upper()
    if secret is None:
        raise ReceiptRefused(f"{variable} is not set, so nobody can prove who sends receipts")
    check_standard_signature(secret, request, "webhook", variable, second_secret)
    try:
        body = msgspec.json.decode(request.body, type=_Body)
        receipts = [_read_statement(each) for each in body.receipts]
        replies = list(_read_replies(body.replies, adapter))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"the body is no list of receipts or replies: {type(error).__name__}") from None
    return [*(receipt for each in receipts for receipt in each.receipts(adapter, request.now)), *replies]


def _read_statement(given: _OwnStatement) -> ProviderStatement:
    at = parse_instant(given.at)
    return ProviderStatement(
        message_id=given.message_id,
        meanings=(ReceiptMeaning(given.kind, given.permanent, given.by_machine),),
        at=at,
        identity=(given.message_id, given.kind, str(at), str(given.permanent)),
        codes=(given.detail or "").split()[:5],
    )


def _read_replies(given: Sequence[_OwnReply], adapter: str) -> Iterator[CustomerReply]:
    """Raises ValueError for a reply on a channel that does not exist: it would be a STOP that nobody obeys."""
    for each in given:
        if each.channel not in CHANNELS or not each.id:
            raise ValueError(each.channel)
        key = make_key(adapter, each.id, "reply")
        yield CustomerReply(key, each.channel, each.address, each.text[:MAX_REPLY], parse_instant(each.at))

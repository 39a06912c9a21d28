"""Receipts and replies from Pager: JSON with any number of events, and a signature (HMAC-SHA256) over the raw body.

The signature holds no time: what is sent again, by whomever, changes nothing, as each statement counts once.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.receipt import MAX_REPLY, CustomerReply, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    DELIVERED,
    FAILED,
    ProviderStatement,
    make_key,
    read_instant,
    read_object,
    require_receipt_setting,
)
from tests.extensions.adapters.pager.declaration import PagerSettings

STATES: Final = {"delivered": DELIVERED, "failed": FAILED, "unreachable": BOUNCED}
"""State -> what it means. A telephone that is unreachable may be switched on again, so its bounce is not permanent."""
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{4,14}")


def read_receipts(settings: PagerSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    _check_signature(require_receipt_setting(settings, "pager", "signing_secret").encode(), request)
    events = read_object(request.body).get("events")
    if not isinstance(events, list):
        raise Malformed("`events` is no list")
    return [statement for event in events if isinstance(event, dict) for statement in _read_event(event, request)]


def _read_event(event: Mapping[str, Any], request: ReceiptRequest) -> Iterator[Statement]:
    at = read_instant(find_text(event, "at"))
    if "state" not in event:
        yield from _read_reply(event, request.now if at is None else at)
        return
    ref, page, state = (find_text(event, name) for name in ("ref", "page", "state"))
    yield from ProviderStatement(
        message_id=ref, meanings=STATES.get(state, ()), at=at, identity=(ref, page, state), codes=(state,)
    ).receipts("pager", request.now)


def _read_reply(event: Mapping[str, Any], at: int) -> Iterator[CustomerReply]:
    id, sender = find_text(event, "id"), find_text(event, "from")
    if id and _NUMBER.fullmatch(sender) and isinstance(event.get("text"), str):
        yield CustomerReply(make_key("pager", id, "reply"), "sms", sender, event["text"][:MAX_REPLY], at)


def _check_signature(secret: bytes, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless the request is signed with the secret."""
    right = f"sha256={hmac.digest(secret, request.body, 'sha256').hex()}"
    given = request.headers.get("x-pager-signature", "").strip()
    if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
        raise ReceiptRefused("the signature does not fit the body: TACTFUL_PAGER__SIGNING_SECRET is Pager's secret")

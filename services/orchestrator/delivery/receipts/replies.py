"""What customers answer becomes a receipt of the last message that went to their address.

A reply that asks to stop counts also where no message is known to have gone there: the customer may have had it from
another installation, or long ago.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address
from schemas.receipt import CustomerReply, Receipt, ReceiptKind
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx
from services.kit.errors import Malformed
from services.orchestrator.delivery.receipts import store
from services.orchestrator.delivery.receipts.reply_keywords import understand_reply
from services.orchestrator.delivery.receipts.store import NewReceipt, Suppresses

_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

MAYBE_STOP: Final = "maybe_stop"
_SUPPRESSES: Final[Mapping[str | None, Suppresses]] = {
    "stop": SuppressionReason.STOP_KEYWORD,
    "stop_advertising": store.STOPS_ADVERTISING,
    "start": store.LIFTS,
}


async def match_replies(tx: Tx, replies: Sequence[CustomerReply]) -> list[NewReceipt]:
    """The receipts that replies are. Left out: what asks for nothing and comes from where no message is known to have
    gone, and what comes from no address that messages can go to. Raises Malformed for a channel without replies.
    """
    for each in replies:
        if each.channel not in store.REPLY_CHANNELS:
            allowed = " or ".join(store.REPLY_CHANNELS)
            raise Malformed(f"a reply must be on {allowed}; of another channel, tell it as a receipt of its message")
    found = [await _match_reply(tx, each) for each in replies]
    return [each for each in found if each is not None]


async def _match_reply(tx: Tx, reply: CustomerReply) -> NewReceipt | None:
    try:
        address = canonical_address(reply.channel, reply.address, None)
    except BadAddress:
        return None
    asked = reply.keyword or understand_reply(reply.text)
    kind: ReceiptKind = "unsubscribed" if asked in ("stop", "stop_advertising") else "replied"
    message = await store.find_last_message(tx, reply.channel, address)
    receipt = Receipt(reply.key, "" if message is None else message.message_id, kind, reply.at, detail=asked)
    suppresses = _SUPPRESSES.get(asked)
    if message is not None:
        text = None if asked == "stop" else _NOT_TEXT.sub("", reply.text) or None
        return NewReceipt(receipt, message.customer, suppresses, text, reply.channel, reply_from=address)
    if suppresses is None:
        return None
    return NewReceipt(receipt, "", suppresses, None, reply.channel, address, reply_from=address)

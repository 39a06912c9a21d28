"""What customers answer becomes a receipt of the last message that went to their address.

A reply that asks to stop counts also where no message is known to have gone there: the customer may have had it from
another installation, or long ago.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.receipt import CustomerReply, Receipt, ReceiptKind
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx
from services.kit.errors import Malformed
from services.kit.observability.logs import log
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


class MatchedReplies(NamedTuple):
    """The receipts that replies are. `unreadable`: how many come from no address that messages can go to; `elsewhere`:
    how many were written to an account that is not the adapter's.
    """

    receipts: list[NewReceipt]
    unreadable: int
    elsewhere: int


async def match_replies(tx: Tx, adapter: str, replies: Sequence[CustomerReply]) -> MatchedReplies:
    """The receipts that replies are. Left out: what asks for nothing and comes from where no message is known to have
    gone; counted: what nothing can be made of, with a log line, as it may be a STOP. Raises Malformed for a channel
    without replies.
    """
    for reply in replies:
        if reply.channel not in store.REPLY_CHANNELS:
            allowed = " or ".join(store.REPLY_CHANNELS)
            raise Malformed(f"a reply must be on {allowed}; of another channel, tell it as a receipt of its message")
    found: list[NewReceipt] = []
    unreadable = elsewhere = 0
    for reply in replies:
        asked = reply.keyword or understand_reply(reply.text)
        if reply.elsewhere:
            elsewhere += 1
            log("reply_to_other_account", level="warning", adapter=adapter, channel=reply.channel, asks=asked)
        elif addresses := _read_addresses(reply):
            found += await _match_reply(tx, reply, asked, addresses)
        else:
            unreadable += 1
            log("reply_from_unreadable_address", level="warning", adapter=adapter, channel=reply.channel, asks=asked)
    return MatchedReplies(found, unreadable, elsewhere)


def _read_addresses(reply: CustomerReply) -> list[str]:
    """The addresses under which messages may have gone to who has replied."""
    found: dict[str, None] = {}
    for spelling in CHANNEL_REGISTRY.declarations[reply.channel].sender_spellings(reply.address):
        with contextlib.suppress(BadAddress):
            found[canonical_address(reply.channel, spelling, None)] = None
    return list(found)


async def _match_reply(tx: Tx, reply: CustomerReply, asked: str | None, addresses: Sequence[str]) -> list[NewReceipt]:
    """The receipt of the last message to any of these addresses. What forbids something forbids it at all of them."""
    kind: ReceiptKind = "unsubscribed" if asked in ("stop", "stop_advertising") else "replied"
    last = [(address, await store.find_last_message(tx, reply.channel, address)) for address in addresses]
    address, message = max(last, key=lambda each: -1 if each[1] is None else each[1].created)
    receipt = Receipt(reply.key, "" if message is None else message.message_id, kind, reply.at, detail=asked)
    suppresses = _SUPPRESSES.get(asked)
    found: list[NewReceipt] = []
    if message is not None:
        text = None if asked == "stop" else _NOT_TEXT.sub("", reply.text) or None
        found.append(NewReceipt(receipt, message.customer, suppresses, text, reply.channel, reply_from=address))
    elif suppresses is not None:
        found.append(NewReceipt(receipt, "", suppresses, None, reply.channel, address, reply_from=address))
    if suppresses is not None:
        for number, other in enumerate((each for each in addresses if each != address), 1):
            beside = msgspec.structs.replace(receipt, key=f"{reply.key}:{number}", message_id="")
            found.append(NewReceipt(beside, "", suppresses, None, reply.channel, other, other, repeats=True))
    return found

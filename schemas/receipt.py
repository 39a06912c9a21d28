"""A receipt: what a provider says about one message after it has taken it, in the one form for all providers."""

from typing import Final, Literal, get_args

import msgspec

from schemas.times import Instant

ReceiptKind = Literal["delivered", "bounced", "failed", "complained", "unsubscribed", "opened", "clicked", "replied"]
"""delivered: it reached the customer's mailbox, handset or device. bounced: the receiving side refused it. failed: the
provider has dropped it, and it left for nobody. complained: the customer called it spam. unsubscribed: the customer
told the provider to stop. opened, clicked, replied: what the customer did with it.
"""
RECEIPT_KINDS: Final[tuple[ReceiptKind, ...]] = get_args(ReceiptKind)
DELIVERY_LADDER: Final[tuple[ReceiptKind, ...]] = ("delivered", "failed", "bounced", "complained")
"""What became of a message is the highest of these that was said, in whatever order it arrived: providers repeat
themselves and overtake themselves, and a mail that was delivered may still bounce.
"""


ARRIVAL_KINDS: Final[frozenset[ReceiptKind]] = frozenset(
    {"delivered", "complained", "unsubscribed", "opened", "clicked", "replied"}
)
"""What shows that the message has arrived."""
_OF_THE_CUSTOMER: Final[frozenset[ReceiptKind]] = ARRIVAL_KINDS - {"delivered"}


class Receipt(msgspec.Struct, frozen=True):
    """One statement about one message.

    `key`: the same whenever the provider repeats the statement. `message_id`: ours. `permanent`: of a bounce, that the
    address will not work again. `by_machine`: of an opening or a click, that the provider holds it for that of a
    machine. `detail`: codes, without personal data.
    """

    key: str
    message_id: str
    kind: ReceiptKind
    at: Instant
    permanent: bool = False
    by_machine: bool = False
    detail: str | None = None


def shows_failure(kind: str, permanent: bool) -> bool:
    """Whether a statement says that the message certainly does not arrive."""
    return kind == "failed" or (kind == "bounced" and permanent)


def has_arrived(kind: str, by_machine: bool) -> bool:
    """Whether a statement proves that the customer had the message, whatever else is said of it."""
    return kind in _OF_THE_CUSTOMER and not by_machine


ReplyKeyword = Literal["stop", "stop_advertising", "start", "help"]
"""stop_advertising: where a provider lets customers stop advertising alone; no word of theirs means that."""
MAX_REPLY: Final = 1600
"""Characters of a reply that are kept."""


class CustomerReply(msgspec.Struct, frozen=True):
    """What a customer has written to us, on a channel and from an address, through a provider.

    It belongs to the last message that went there. `key`: the same whenever the provider repeats it. `keyword`: what
    the provider has understood it to be; None where it leaves that to us. `elsewhere`: it was written to an account
    that is not the adapter's, and is only counted.
    """

    key: str
    channel: str
    address: str
    text: str
    at: Instant
    keyword: ReplyKeyword | None = None
    elsewhere: bool = False


Statement = Receipt | CustomerReply
"""What a request with receipts may hold."""

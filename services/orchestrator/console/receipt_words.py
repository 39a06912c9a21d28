"""What became of a message, in words."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.receipt import ReceiptKind

WORDS: Final[Mapping[ReceiptKind, str]] = {
    "delivered": "delivered",
    "bounced": "bounced",
    "failed": "dropped by the provider",
    "complained": "called spam",
    "unsubscribed": "unsubscribed",
    "opened": "opened",
    "clicked": "clicked",
    "replied": "answered",
}


def describe_receipt(receipt: Any) -> str:
    """A few words for a row of `list_receipts`."""
    words = WORDS[receipt.kind]
    if receipt.kind == "bounced" and receipt.permanent:
        return f"{words} for good"
    return f"{words} by a machine" if receipt.by_machine else words

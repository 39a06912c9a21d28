"""Opaque ids of a customer's addresses, for URLs and events that must not hold an address.

An id is a keyed hash of the customer, the channel and what is equal for two spellings of an address: the same address
has the same id for as long as the customer's country does not change its canonical form, and nobody without the
deployment's address key can tell from an id which address it is, or whether two customers share one.
"""

import hashlib
import hmac
from typing import Final

import msgspec

from schemas.addresses import comparable_form
from schemas.facts import Address

_LABEL: Final = b"tactful address ids v1"
_DIGITS: Final = 32


class AddressIds:
    """Makes ids by a key that is derived from the deployment's address key."""

    def __init__(self, address_key: bytes) -> None:
        self._key = hmac.new(address_key, _LABEL, hashlib.sha256).digest()

    def of(self, customer: str, address: Address) -> str:
        """The id of an address of the customer: 32 hexadecimal digits."""
        named = (customer, address.channel, comparable_form(address.channel, address.canonical_form))
        text = msgspec.msgpack.encode([each.encode("utf-8", "surrogatepass") for each in named])
        return hmac.digest(self._key, text, "sha256").hex()[:_DIGITS]

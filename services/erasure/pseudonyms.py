"""Pseudonyms: keyed hashes that stand for a customer, or for an event, once the customer has been erased.

The same deployment key, that of suppressed addresses, makes them in all services. Nobody can find the customer from a
pseudonym without the key, but who has key and id can find out that the customer was erased.
"""

import hmac
from typing import Final

PREFIX: Final = "erased-"
_HEX_DIGITS: Final = 40


class Pseudonyms:
    """Makes pseudonyms under a deployment's address key (HMAC-SHA256, its first 160 bits)."""

    def __init__(self, address_key: bytes) -> None:
        self._base = hmac.new(address_key, digestmod="sha256")

    def of_customer(self, customer: str) -> str:
        """What stands for a customer id."""
        return self._digest(f"tactful erased customer\0{customer}")

    def of_event(self, source: str, event_id: str) -> str:
        """What stands for the source and the id of one of an erased customer's events."""
        return self._digest(f"tactful erased event\0{source}\0{event_id}")

    def _digest(self, text: str) -> str:
        mac = self._base.copy()
        mac.update(text.encode("utf-8", "surrogatepass"))
        return PREFIX + mac.hexdigest()[:_HEX_DIGITS]

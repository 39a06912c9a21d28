"""Errors of the suppression service, below the tree of `services.kit.errors`.

Permanent
  Conflict
    AddressKeyMismatch   addresses were hashed with another key than ours
    CustomerRefusalKept  what the customer has forbidden stays until the customer says otherwise
    ErasedEntryKept      an entry of the reason `erased` cannot be removed
    HoldExists           a hold with this key is in force or to come
"""

from services.kit.errors import Conflict


class AddressKeyMismatch(Conflict):
    """Addresses were hashed with another key than the stored ones: no entry would ever be found."""

    default_code = "other_address_key"


class ErasedEntryKept(Conflict):
    """An entry of the reason `erased` cannot be removed, by nobody."""

    default_code = "erased_entry"

    def __init__(self) -> None:
        super().__init__(
            "an `erased` entry stays: it is all that keeps us from writing to this person again. Somebody who comes "
            "anew needs another address and a new id (docs/erasure.md)"
        )


class CustomerRefusalKept(Conflict):
    """A complaint or a STOP cannot be removed before the customer says otherwise."""

    default_code = "needs_new_consent"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"a `{reason}` entry is the customer's own word, and people cannot take it back. What STOP has made ends "
            "when the customer sends START on that channel. Else record the customer's consent on the entry's channel "
            "and topic, later than the entry (PATCH /v1/preferences/{customer}), and ask with `consent_of`: that "
            "customer, who must be the entry's or have its address"
        )


class HoldExists(Conflict):
    """A hold with this key is in force or to come."""

    default_code = "hold_stands"

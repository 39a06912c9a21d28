"""Errors of the suppression service, below the tree of `services.kit.errors`.

Permanent
  Conflict
    AddressKeyMismatch   addresses were hashed with another key than ours
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


class HoldExists(Conflict):
    """A hold with this key is in force or to come."""

    default_code = "hold_stands"

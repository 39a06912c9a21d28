"""Errors of the suppression service, below the tree of `services.kit.errors`.

Permanent
  Conflict
    AddressKeyMismatch   addresses were hashed with another key than ours
    HoldExists           a hold with this key is in force or to come
"""

from services.kit.errors import Conflict


class AddressKeyMismatch(Conflict):
    """Addresses were hashed with another key than the stored ones: no entry would ever be found."""

    default_code = "other_address_key"


class HoldExists(Conflict):
    """A hold with this key is in force or to come."""

    default_code = "hold_stands"

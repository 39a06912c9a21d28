"""This service's leaves of the error tree (services/kit/errors.py).

Permanent
  Conflict
    OtherAddressKey    addresses were hashed with another key than ours
    HoldStands         a hold with this key is in force or to come
"""

from services.kit.errors import Conflict


class AddressKeyMismatch(Conflict):
    """Addresses were hashed with another key than the one under which we keep them: none would ever be found."""

    default_code = "other_address_key"


class HoldExists(Conflict):
    """A hold with this key is in force or to come."""

    default_code = "hold_stands"

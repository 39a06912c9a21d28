"""What receipts need of the do-not-contact list."""

from collections.abc import Sequence
from typing import Protocol

from schemas.service_api import AddressLift, ProviderEntry
from services.kit.errors import Transient


class EntriesRefused(Transient):
    """Suppression refused to make entries: it may be of an earlier version. They are made when it takes them."""

    default_code = "entries_refused"


class EntryApi(Protocol):
    """services.clients.suppression.SuppressionClient."""

    async def add_entries(self, entries: Sequence[ProviderEntry], added_by: str) -> None:
        """Add do-not-contact entries; one that is there is no error. Raises Transient and Permanent."""

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        """Remove entries that `added_by` has made; one that is gone is no error. Raises Transient and Permanent.

        `only_then`: those that count from the very instant of a lift on, and no earlier ones.
        """

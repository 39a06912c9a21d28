"""Erasure of a customer in this service: what happens at the event, and which rows are removed afterwards.

What remains is the row of the table `erasure`: the customer's pseudonym, and keyed hashes of all addresses that were
known, for the suppression service, which never learns addresses.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address, canonical_by_channel, create_address_hasher, other_spellings
from schemas.event import Event
from services.erasure import store as erasures
from services.erasure.erased_customers import ErasedCustomers
from services.erasure.eraser import EraseStep, delete_dead_letters, delete_stored_answers, deletes
from services.kit.db.database import Tx
from services.preference import store
from services.preference.opt_out_topic import forget_outgoing
from services.preference.preference_state import PreferenceState


class CustomerEraser:
    """Erases customers whose states are locked. `region`: the organisation's country.

    `notify` tells the job that there is work, once the transaction has committed.
    """

    def __init__(self, address_key: bytes, region: str | None, notify: Callable[[], None]) -> None:
        self.erased = ErasedCustomers(address_key)
        self.notify = notify
        self._hash = create_address_hasher(address_key)
        self._region = region

    async def erase(self, tx: Tx, state: PreferenceState, event: Event) -> None:
        """Record the erasure, and delete the state and the keys by which the customer is found."""
        known = [(each.channel, each.address) for each in state.preference.addresses]
        known += await store.list_past_addresses(tx, state.customer)
        hashes = {
            digest
            for channel, address in known
            for digest in self._hashes_of(channel, address, state.preference.country or self._region)
        }
        pseudonym = self.erased.pseudonyms.of_customer(state.customer)
        await erasures.begin_erasure(tx, pseudonym, state.customer, event.time, hashes)
        await erasures.count_rows(tx, pseudonym, await store.delete_state(tx, state.customer))

    def _hashes_of(self, channel: str, address: str, region: str | None) -> Iterator[str]:
        """The hashes of an address on its channel, and on each other where the same text is an address too."""
        try:
            forms = {channel: canonical_address(channel, address, region)}
        except BadAddress:
            yield self._hash(channel, address)
            return
        yield from (self._hash(channel, each) for each in other_spellings(channel, address, forms[channel], region))
        with suppress(BadAddress):
            forms = canonical_by_channel(None, address, region) | forms
        yield from (self._hash(each, canonical) for each, canonical in forms.items())


ERASE_STEPS: Final[tuple[EraseStep, ...]] = (
    delete_dead_letters,
    deletes("preference_state"),
    deletes("customer_lookup"),
    deletes("preference_change"),
    deletes("consent_request"),
    deletes("address_verification"),
    deletes("address_report_example"),
    deletes("preference_inbox"),
    delete_stored_answers,
    forget_outgoing,
)

"""Changes of a customer's addresses by a program of the company or by the customer, one at a time, under their lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from schemas.address_ids import AddressIds
from schemas.addresses import find_unusable, with_canonical_form
from schemas.documents import DocumentError
from schemas.facts import Address, Preference
from services.kit.errors import NotFound, Problem
from services.kit.runtime.clock import Clock
from services.preference.addresses.address_list import (
    AddressState,
    add_address,
    choose_main,
    find_same,
    main_address,
    remove_address,
    state_of,
)
from services.preference.consents.change_origin import UNKNOWN_ORIGIN, ChangeOrigin
from services.preference.editor import EditResult, PreferenceEditor
from services.preference.preference_errors import CannotBeMain, Overgrown
from services.preference.preference_state import MAX_ADDRESSES


class ChangeAuthor(NamedTuple):
    """Who changes something: `source` as of `ChangeCause`, the name of a key, and where the request came from."""

    source: str
    actor: str | None = None
    origin: ChangeOrigin = UNKNOWN_ORIGIN


class AddressBook:
    """Applies the changes. `ids` names addresses. `region`: the organisation's country."""

    def __init__(self, editor: PreferenceEditor, ids: AddressIds, clock: Clock, region: str | None) -> None:
        self.ids = ids
        self._editor = editor
        self._clock = clock
        self._region = region

    async def add_given(self, customer: str, given: Address, author: ChangeAuthor) -> tuple[Address, EditResult]:
        """Add an address, or verify a known one where `given.verified` says so; returns it as it is then.

        Raises DocumentError for one that cannot be used, Overgrown, CustomerErased.
        """
        now, added = self._clock.now(), given

        def change(preference: Preference) -> tuple[Address, ...]:
            nonlocal added
            region = preference.country or self._region
            for unusable in find_unusable([(given.channel, given.address)], region):
                raise DocumentError([("/address", unusable.code, unusable.detail)])
            added = with_canonical_form(given, region)
            after = add_address(preference.addresses, added, now)
            if len(after) > max(MAX_ADDRESSES, len(preference.addresses)):
                detail = f"the customer has {MAX_ADDRESSES} addresses already: remove one first"
                raise Overgrown(detail, errors=[Problem("/address", "too_many", detail)])
            return after

        result = await self._change(customer, change, author)
        return find_same(result.after.preference.addresses, added) or added, result

    async def set_main(self, customer: str, id: str, author: ChangeAuthor) -> tuple[Address, EditResult]:
        """Make an address the first of its channel. Raises NotFound, CannotBeMain, CustomerErased."""
        chosen: Address | None = None

        def change(preference: Preference) -> tuple[Address, ...]:
            nonlocal chosen
            chosen = self.find_by_id(preference, id)
            after = choose_main(preference.addresses, chosen)
            if main_address(after, chosen.channel) != find_same(after, chosen):
                raise CannotBeMain(_why_not_main(chosen))
            return after

        result = await self._change(customer, change, author)
        return self.find_by_id(result.after.preference, id), result

    async def remove(self, customer: str, id: str, author: ChangeAuthor) -> tuple[Address, EditResult]:
        """Remove an address; returns what it was. Raises NotFound, CustomerErased."""

        def change(preference: Preference) -> tuple[Address, ...]:
            return remove_address(preference.addresses, self.find_by_id(preference, id))

        result = await self._change(customer, change, author)
        return self.find_by_id(result.before.preference, id), result

    async def _change(
        self, customer: str, change: Callable[[Preference], Iterable[Address]], author: ChangeAuthor
    ) -> EditResult:
        return await self._editor.change_addresses(
            customer, change, source=author.source, actor=author.actor, origin=author.origin
        )

    def find_by_id(self, preference: Preference, id: str) -> Address:
        """The customer's address with this id. Raises NotFound."""
        for address in preference.addresses:
            if self.ids.of(preference.customer, address) == id:
                return address
        raise NotFound("the customer has no address with this id: GET .../addresses lists them")


def _why_not_main(address: Address) -> str:
    if state_of(address) is AddressState.UNUSABLE:
        return "no message can go to this address: remove it, and add it as it should be"
    return "messages go to a verified address first, and this one is not verified: verify it, then choose it"

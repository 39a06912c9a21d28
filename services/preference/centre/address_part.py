"""The part of the page with the customer's addresses: what can be done with each, and a field for another. Pure.

Addresses are masked: whoever has the link may choose among them, and learns none. Another one can be given where the
company has said that it sends codes (`TACTFUL_CENTRE__CODE_CHANNELS`), since it is used once its code is entered.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from schemas.address_ids import AddressIds
from schemas.address_kinds import EMAIL, PHONE
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Address, Preference
from services.preference.addresses.address_list import AddressState, choose_main, find_same, main_address, state_of
from services.preference.addresses.hygiene import lookup_value
from services.preference.centre.languages import PageLanguage
from services.preference.centre.masking import mask_own_address

CODE_CHANNELS: Final = tuple(
    each.id for each in CHANNEL_REGISTRY.declarations.values() if each.address_kind in (EMAIL, PHONE)
)
"""The channels whose addresses people can type: mailboxes and telephone numbers."""


def show_addresses(
    preference: Preference,
    ids: AddressIds,
    waiting: Collection[str],
    sharing: Mapping[str, int],
    code_channels: Sequence[str],
    typed: str,
    language: PageLanguage,
) -> dict[str, Any]:
    """The values of the part. `waiting`: ids of addresses whose code can be entered; `sharing`: how many customers have
    an address that several have, by its lookup value; `typed`: an address that was not taken.
    """
    rows = [
        _row(preference, each, ids, waiting, code_channels, language)
        | {"shared": _describe_sharing(each, sharing.get(lookup_value(each), 1) - 1, language)}
        for each in preference.addresses
    ]
    choices = [(channel, language.channel(channel)) for channel in code_channels]
    return {"rows": rows, "channels": choices, "typed": typed}


def _row(
    preference: Preference,
    address: Address,
    ids: AddressIds,
    waiting: Collection[str],
    code_channels: Sequence[str],
    language: PageLanguage,
) -> dict[str, Any]:
    id, state = ids.of(preference.customer, address), state_of(address)
    is_main = main_address(preference.addresses, address.channel) == address
    actions: list[tuple[str, str]] = []
    if not is_main and _can_be_main(preference, address):
        actions.append(("main", language.text("Use this one first")))
    if state is AddressState.UNVERIFIED and address.channel in code_channels:
        actions.append(("send", language.text("Send me a code")))
    actions.append(("remove", language.text("Remove")))
    return {
        "id": id,
        "channel": language.channel(address.channel),
        "masked": mask_own_address(address),
        "state": describe_state(address, language),
        "main": language.text("our messages go here") if is_main else None,
        "waits": id in waiting and state is AddressState.UNVERIFIED,
        "actions": actions,
    }


def _describe_sharing(address: Address, others: int, language: PageLanguage) -> str | None:
    """How many other customers have the address; of one that is not verified it is not said, or whoever adds one here
    would learn whether somebody has it.
    """
    if others < 1 or not address.verified:
        return None
    return language.plural(
        "One other customer has it too. What stops messages to it, such as a STOP, stops them for both.",
        "%(num)d other customers have it too. What stops messages to it, such as a STOP, stops them for all.",
        others,
    )


def _can_be_main(preference: Preference, address: Address) -> bool:
    after = choose_main(preference.addresses, address)
    return main_address(after, address.channel) == find_same(after, address)


def describe_state(address: Address, language: PageLanguage) -> str:
    """What may go to the address, in words."""
    match state_of(address):
        case AddressState.UNUSABLE:
            return language.text("cannot be used")
        case AddressState.FORMER:
            return language.text("not used any more")
        case AddressState.VERIFIED:
            return language.text("confirmed")
    return language.text("not confirmed")

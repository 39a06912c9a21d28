"""Rebuilds the suppressions of a past instant from recorded history. Pure."""

from collections.abc import Sequence

import msgspec

from schemas.facts import Preference, Suppressions


def reindex_address_entries(
    suppressions: Suppressions, recorded_addresses: Sequence[tuple[str, str]], preference: Preference
) -> Suppressions:
    """Returns the suppressions with address entries pointing into the addresses of `preference`.

    `recorded_addresses`: (channel, address) pairs; recorded entries refer to them by index. An entry for an
    address that the customer did not have at the time is left out.
    """
    if not any(entry.address is not None for entry in suppressions.entries):
        return suppressions
    indexes = {(each.channel, each.address): index for index, each in enumerate(preference.addresses)}
    entries = [
        entry
        if entry.address is None
        else msgspec.structs.replace(entry, address=indexes[recorded_addresses[entry.address]])
        for entry in suppressions.entries
        if entry.address is None or recorded_addresses[entry.address] in indexes
    ]
    return msgspec.structs.replace(suppressions, entries=tuple(entries))

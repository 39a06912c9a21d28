"""Rebuilds the suppressions of a past instant from recorded history. Pure."""

from collections.abc import Sequence

import msgspec

from schemas.facts import Preference, Suppressions


def reindex_address_entries(
    suppressions: Suppressions, recorded_addresses: Sequence[tuple[str, str]], preference: Preference
) -> Suppressions:
    """Returns the suppressions with address entries pointing into the addresses of `preference`.

    `recorded_addresses`: (channel, canonical address) pairs; recorded entries refer to them by index. An entry for an
    address that the customer did not have at the time is left out; one for an address that the customer had in several
    spellings covers each.
    """
    if not any(entry.address is not None for entry in suppressions.entries):
        return suppressions
    indexes: dict[tuple[str, str], list[int | None]] = {}
    for index, each in enumerate(preference.addresses):
        indexes.setdefault((each.channel, each.canonical_form), []).append(index)
    entries = [
        msgspec.structs.replace(entry, address=index)
        for entry in suppressions.entries
        for index in ([None] if entry.address is None else indexes.get(recorded_addresses[entry.address], ()))
    ]
    return msgspec.structs.replace(suppressions, entries=tuple(dict.fromkeys(entries)))

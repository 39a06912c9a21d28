"""Addresses as the pages show them: enough for their owner to know them, too little for others to use. Pure."""

from schemas.address_kinds import EMAIL, PHONE
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Address


def mask_own_address(address: Address) -> str | None:
    """`a…@example.org`, `…417`; None for kinds of which no part says anything to their owner, or too much to others."""
    declared = CHANNEL_REGISTRY.declarations.get(address.channel)
    kind = None if declared is None else declared.address_kind
    # The word joiner U+2060 keeps the ellipsis on one line with what follows.
    if kind is EMAIL:
        local, at, domain = address.canonical_form.rpartition("@")
        return f"{local[:1]}…\u2060@{domain}" if at else None
    if kind is PHONE:
        digits = [character for character in address.canonical_form if character.isdigit()]
        return f"…\u2060{''.join(digits[-3:])}" if len(digits) > 6 else None
    return None

"""The two forms of preferences, and the way between them: the document that people write, the facts that rules read.

Pure. Absent fields have the defaults of the document.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.customer import ConsentRecord, Customer, OptOutEntry
from schemas.facts import Address, Consent, Frequency, OptOut, OwnQuiet, Preference
from schemas.times import Instant, format_instant

FIELDS = (
    "locale",
    "country",
    "zone",
    "traits",
    "addresses",
    "consent",
    "opt_outs",
    "paused_until",
    "channel_order",
    "frequency",
    "quiet_hours",
)
"""The top-level fields of a customer's document, beside `customer`. Each has a time of its own."""


def parts_of(customer: Customer, names: Sequence[str]) -> dict[str, Any]:
    """The named fields of a document in the form of facts."""
    return {name: _part(customer, name) for name in names}


def document_of(known: Preference) -> dict[str, Any]:
    """The whole document of documents.md, all fields present, ready for JSON."""
    frequency = known.frequency
    return {
        "customer": known.customer,
        "locale": known.locale,
        "country": known.country,
        "zone": known.zone,
        "traits": msgspec.json.decode(known.traits),
        "addresses": [msgspec.structs.asdict(address) for address in known.addresses],
        "consent": [_consent(record) for record in known.consent],
        "opt_outs": [opt_out_document(entry) for entry in known.opt_outs],
        "paused_until": _instant(known.paused_until),
        "channel_order": list(known.channel_order),
        "frequency": None if frequency is None else {"limit": frequency.limit, "per": frequency.per},
        "quiet_hours": [
            {"days": list(hours.days), "from": _wall(hours.start), "to": _wall(hours.end)}
            for hours in known.quiet_hours
        ],
    }


def opt_out_document(entry: OptOut) -> dict[str, Any]:
    """One entry of `opt_outs`: only what it names."""
    named = {"all": entry.all or None, "class": entry.cls, "channel": entry.channel, "topic": entry.topic}
    return {name: value for name, value in named.items() if value is not None}


def opt_out_of(entry: OptOutEntry) -> OptOut:
    """One entry of `opt_outs` in the form of facts."""
    return OptOut(
        all=bool(entry.all),
        cls=entry.class_ and entry.class_.value,
        channel=entry.channel and entry.channel.value,
        topic=entry.topic,
    )


def _part(customer: Customer, name: str) -> Any:
    value = getattr(customer, name)
    match name:
        case "traits":
            return msgspec.json.encode(value)
        case "addresses":
            return tuple(Address(entry.channel.value, entry.address, entry.verified) for entry in value)
        case "consent":
            return tuple(_recorded(record) for record in value)
        case "opt_outs":
            return tuple(opt_out_of(entry) for entry in value)
        case "channel_order":
            return tuple(channel.value for channel in value)
        case "frequency":
            return None if value is None else Frequency(value.limit, value.per)
        case "quiet_hours":
            return tuple(OwnQuiet(quiet.days, quiet.start, quiet.end) for quiet in value)
        case _:
            return value


def _recorded(record: ConsentRecord) -> Consent:
    return Consent(
        record.channel.value,
        record.topic,
        record.status,
        record.at,
        expires=record.expires,
        source=record.source,
        wording=record.wording,
        basis=record.basis,
    )


def _consent(record: Consent) -> dict[str, Any]:
    return msgspec.structs.asdict(record) | {"at": format_instant(record.at), "expires": _instant(record.expires)}


def _instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _wall(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"

"""Converts preferences between their two forms: the JSON document of the API, and the facts for the rules. Pure.

Absent fields have the defaults of the document.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.consent_evidence import ConsentEvidenceFields
from schemas.customer import ConsentRecord, Customer, OptOutEntry
from schemas.facts import (
    Address,
    Consent,
    ConsentEvidence,
    CustomerQuietHours,
    FrequencyLimit,
    OptOut,
    Preference,
)
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
"""The top-level fields of a customer's document, beside `customer`. Each has its own time."""


def fact_fields(customer: Customer, names: Sequence[str]) -> dict[str, Any]:
    """The named fields of a document in the form of facts; addresses still without their canonical form."""
    return {name: _fact_field(customer, name) for name in names}


def preference_document(preference: Preference) -> dict[str, Any]:
    """The whole document of documents.md, all fields present, ready for JSON."""
    frequency = preference.frequency
    return {
        "customer": preference.customer,
        "locale": preference.locale,
        "country": preference.country,
        "zone": preference.zone,
        "traits": msgspec.json.decode(preference.traits),
        "addresses": [address_document(address) for address in preference.addresses],
        "consent": [consent_document(record) for record in preference.consent],
        "opt_outs": [opt_out_document(entry) for entry in preference.opt_outs],
        "paused_until": _format_instant(preference.paused_until),
        "channel_order": list(preference.channel_order),
        "frequency": None if frequency is None else {"limit": frequency.limit, "per": frequency.per},
        "quiet_hours": [
            {"days": list(hours.days), "from": _format_wall_time(hours.start), "to": _format_wall_time(hours.end)}
            for hours in preference.quiet_hours
        ],
    }


def address_document(address: Address) -> dict[str, Any]:
    """One entry of `addresses` as JSON; `former` only where it is set."""
    document = {"channel": address.channel, "address": address.address, "verified": address.verified}
    return document if address.former is None else document | {"former": format_instant(address.former)}


def opt_out_document(entry: OptOut) -> dict[str, Any]:
    """One entry of `opt_outs` as JSON: only the fields that are set."""
    named = {"all": entry.all or None, "class": entry.cls, "channel": entry.channel, "topic": entry.topic}
    return {name: value for name, value in named.items() if value is not None}


def to_opt_out(entry: OptOutEntry) -> OptOut:
    """One entry of `opt_outs` in the form of facts."""
    return OptOut(
        all=bool(entry.all),
        cls=entry.class_ and entry.class_.value,
        channel=entry.channel and entry.channel.value,
        topic=entry.topic,
    )


def _fact_field(customer: Customer, name: str) -> Any:
    value = getattr(customer, name)
    match name:
        case "traits":
            return msgspec.json.encode(value)
        case "addresses":
            return tuple(
                Address(entry.channel.value, entry.address, entry.verified, former=entry.former) for entry in value
            )
        case "consent":
            return tuple(_to_consent(record) for record in value)
        case "opt_outs":
            return tuple(to_opt_out(entry) for entry in value)
        case "channel_order":
            return tuple(channel.value for channel in value)
        case "frequency":
            return None if value is None else FrequencyLimit(value.limit, value.per)
        case "quiet_hours":
            return tuple(CustomerQuietHours(quiet.days, quiet.start, quiet.end) for quiet in value)
        case _:
            return value


def _to_consent(record: ConsentRecord) -> Consent:
    return Consent(
        record.channel.value,
        record.topic,
        record.status,
        record.at,
        expires=record.expires,
        source=record.source,
        wording=record.wording,
        basis=record.basis,
        evidence=to_evidence(record.evidence),
        imported=record.imported,
        requested=record.requested,
        confirmation=to_evidence(record.confirmation),
        occasion=record.occasion,
    )


def to_evidence(fields: ConsentEvidenceFields | None) -> ConsentEvidence | None:
    """The evidence of a consent in the form of facts."""
    return None if fields is None else ConsentEvidence(fields.form, fields.network, fields.agent)


def evidence_document(evidence: ConsentEvidence | None) -> dict[str, Any] | None:
    """The evidence of a consent as JSON."""
    return None if evidence is None else msgspec.structs.asdict(evidence)


def consent_document(record: Consent) -> dict[str, Any]:
    """One entry of `consent` as JSON, all fields present."""
    return msgspec.structs.asdict(record) | {
        "at": format_instant(record.at),
        "expires": _format_instant(record.expires),
        "requested": _format_instant(record.requested),
        "evidence": evidence_document(record.evidence),
        "confirmation": evidence_document(record.confirmation),
    }


def _format_instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _format_wall_time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"

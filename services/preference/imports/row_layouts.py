"""What the rows of imported customers and consents may hold. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.consent_evidence import GRANTED, LEGAL_BASES
from schemas.documents import DocumentError, load_json
from services.bulk_import.row_formats import INSTANT_WORDS, RowLayout

TRAIT_PREFIX: Final = "trait."
"""`trait.NAME` is a column of CSV; its cells are texts. The column `traits` has JSON, for numbers and the rest."""
OPTED_OUT: Final = "opted_out"
"""The status of a row of consents that is an opt-out."""
REFUSALS: Final = (
    *("refused", "declined", "denied", "withdrawn", "revoked", "objected", "unsubscribed", "expired"),
    *("unconfirmed", "pending"),
)
"""What a record may say that is no grant. In an event any other word counts as one too; in a file it is a mistake that
would cost the consent, and nobody would see it.
"""
CONSENT_STATUSES: Final = (GRANTED, *REFUSALS, OPTED_OUT)
_ADDRESS: Final = ("channel", "address", "verified")
_EVIDENCE: Final = ("form", "network", "agent")
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _read_verified(cell: str) -> bool:
    value = _BOOLEANS.get(cell.lower())
    if value is None:
        raise DocumentError([("/verified", "wrong_type", "must be `true` or `false`")])
    return value


def _customer_document(cells: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {
        name: cells[name] for name in ("customer", "at", "locale", "country", "zone") if name in cells
    }
    traits = {name.removeprefix(TRAIT_PREFIX): cell for name, cell in cells.items() if name.startswith(TRAIT_PREFIX)}
    if "traits" in cells:
        given = load_json(cells["traits"].encode())
        if not isinstance(given, dict):
            raise DocumentError([("/traits", "wrong_type", 'must be an object in JSON, such as {"age": 42}')])
        traits = {**given, **traits}
    if traits:
        document["traits"] = traits
    address: dict[str, Any] = {name: cells[name] for name in _ADDRESS if name in cells}
    if "verified" in address:
        address["verified"] = _read_verified(address["verified"])
    if address:
        document["addresses"] = [address]
    return document


def _consent_document(cells: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {name: cell for name, cell in cells.items() if name not in _EVIDENCE}
    evidence = {name: cells[name] for name in _EVIDENCE if name in cells}
    return document | {"evidence": evidence} if evidence else document


CUSTOMER_FIELDS: Final = ("customer", "at", "locale", "country", "zone", "traits", "addresses")
CONSENT_FIELDS: Final = (
    *("customer", "channel", "topic", "class", "status", "at", "source", "wording", "basis", "expires", "occasion"),
    *("requested", "evidence"),
)
_CUSTOMER_POINTERS: Final = ("/addresses/0", "/addresses/0/address", "/addresses/0/channel", "/addresses/0/verified")

CUSTOMER_LAYOUT: Final = RowLayout(
    columns=("customer", "at", "locale", "country", "zone", "traits", *_ADDRESS),
    required=(("customer",),),
    to_document=_customer_document,
    pointers=frozenset(["", *(f"/{name}" for name in CUSTOMER_FIELDS), "/verified", *_CUSTOMER_POINTERS]),
    fields="customer, at, locale, country, zone, traits, addresses (in CSV: channel, address, verified, trait.NAME)",
    general_words={
        "/at": INSTANT_WORDS,
        "/locale": "not a language tag, such as `de` or `pt-BR`",
        "/country": "not a country's two letters, such as `DE`",
        "/zone": "not a time zone, such as `Europe/Berlin`",
        "/traits": "a trait that cannot be kept: names and texts without NUL, at most 200 traits and 64 KiB of JSON",
        "/addresses": "this address cannot be used on its channel; docs/addresses.md has the forms",
    },
    prefix=TRAIT_PREFIX,
    free_names=frozenset({"/traits"}),
)
CONSENT_LAYOUT: Final = RowLayout(
    columns=(*(name for name in CONSENT_FIELDS if name != "evidence"), *_EVIDENCE),
    required=(("customer",), ("status",)),
    to_document=_consent_document,
    pointers=frozenset(["", *(f"/{name}" for name in CONSENT_FIELDS), *(f"/evidence/{name}" for name in _EVIDENCE)]),
    fields=f"{', '.join(CONSENT_FIELDS)} (in CSV: form, network, agent)",
    general_words={
        "/at": INSTANT_WORDS,
        "/expires": INSTANT_WORDS,
        "/requested": INSTANT_WORDS,
        "/channel": "not a channel, such as `email` or `sms`",
        "/topic": "not a topic of the active policy, nor `*` for all",
        "/class": "not a class that can be switched off: `service` or `marketing`",
        "/status": f"not a status: one of {', '.join(CONSENT_STATUSES)}",
        "/basis": f"not a legal basis: one of {', '.join(LEGAL_BASES)}",
    },
)

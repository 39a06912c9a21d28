"""Facts about a customer, as the preference and suppression services know them; the rules evaluate them.

Instants are microseconds since 1970 UTC, spans microseconds. A struct with `array_like=True` is encoded as an array:
its fields keep their order, and new ones go to the end with a default. The databases store these forms too.
"""

from typing import Any

import msgspec

from schemas.times import Instant


class Address(msgspec.Struct, frozen=True, array_like=True):
    """An address of the customer on one channel: as it was given, and what `schemas/addresses.py` has made of it.

    `canonical`: its canonical form, where that is not what was given. `problem`: why it cannot be used, else None.
    `former`: since when another has taken its place; no message goes to it any more.
    """

    channel: str
    address: str
    verified: bool
    canonical: str | None = None
    problem: str | None = None
    former: Instant | None = None

    @property
    def canonical_form(self) -> str:
        """What is compared and hashed, and where messages go; what was given for an address that cannot be used."""
        return self.address if self.canonical is None else self.canonical


class ConsentEvidence(msgspec.Struct, frozen=True, array_like=True):
    """What shows that a person gave a consent: the form's address, the class of the network, the kind of browser.

    Never an IP address or a whole user agent: see schemas/consent_evidence.py.
    """

    form: str | None = None
    network: str | None = None
    agent: str | None = None


class Consent(msgspec.Struct, frozen=True, array_like=True):
    """A recorded consent to marketing on a channel (`status` granted), or its refusal. Topic `*` covers all topics.

    `evidence` and what follows are its proof, and no rule reads them: see schemas/customer.py.
    """

    channel: str
    topic: str
    status: str
    at: Instant
    expires: Instant | None = None
    source: str | None = None
    wording: str | None = None
    basis: str | None = None
    evidence: ConsentEvidence | None = None
    imported: bool = False
    requested: Instant | None = None
    confirmation: ConsentEvidence | None = None
    occasion: str | None = None


class OptOut(msgspec.Struct, frozen=True, array_like=True):
    """One opt-out: everything (`all`), or what matches all of class, channel and topic that are given."""

    all: bool = False
    cls: str | None = None
    channel: str | None = None
    topic: str | None = None


class FrequencyLimit(msgspec.Struct, frozen=True, array_like=True):
    """The customer's own cap on marketing: `limit` per `day`, `week` or `month`."""

    limit: int
    per: str


class CustomerQuietHours(msgspec.Struct, frozen=True, array_like=True):
    """Quiet hours that the customer chose: `start` and `end` are minutes since local midnight."""

    days: tuple[str, ...]
    start: int
    end: int


class Quarantine(msgspec.Struct, frozen=True, array_like=True):
    """A record of the log that could not be read, and may have been the customer's refusal.

    From `start` until `until` nothing is sent but transactional messages, or until the dead letter of the record is
    closed. The position in the log identifies the letter; in a simulation the topic is empty.
    """

    topic: str
    partition: int
    offset: int
    start: Instant
    until: Instant

    @property
    def ends_by_itself(self) -> bool:
        """Whether no letter ends it, because it was not kept which record it was: see `schemas.quarantine`."""
        return self.offset < 0


class Preference(msgspec.Struct, frozen=True, array_like=True):
    """The preferences of one customer, as of `version` (0: nothing is known). `traits` is a JSON object."""

    customer: str
    version: int = 0
    locale: str | None = None
    country: str | None = None
    zone: str | None = None
    traits: bytes = b"{}"
    addresses: tuple[Address, ...] = ()
    consent: tuple[Consent, ...] = ()
    opt_outs: tuple[OptOut, ...] = ()
    paused_until: Instant | None = None
    channel_order: tuple[str, ...] = ()
    frequency: FrequencyLimit | None = None
    quiet_hours: tuple[CustomerQuietHours, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()


class SuppressionEntry(msgspec.Struct, frozen=True, array_like=True):
    """A do-not-contact entry. `address`: None when it names the customer, else the index of the queried address."""

    channel: str | None
    topic: str | None
    classes: tuple[str, ...] | None
    at: Instant
    expires: Instant | None
    reason: str
    address: int | None = None


class Situation(msgspec.Struct, frozen=True, array_like=True):
    """An interval in the customer's history, such as an open complaint. `ref` is canonical JSON, empty for none."""

    kind: str
    ref: str
    opened: Instant
    closed: Instant | None = None


class MessageScope(msgspec.Struct, frozen=True, array_like=True):
    """What a hold covers; None matches all (for `classes`: service and marketing)."""

    channels: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    classes: frozenset[str] | None = None
    intents: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None


class HoldFact(msgspec.Struct, frozen=True, array_like=True):
    """A hold: in force while `start` <= t < `until`. `reason` and `placed_by` are for people; no rule reads them."""

    key: str
    mode: str
    start: Instant
    until: Instant | None = None
    scope: MessageScope = MessageScope()
    region: str | None = None
    trait: dict[str, Any] | None = None
    reason: str = ""
    placed_by: str = ""


class Suppressions(msgspec.Struct, frozen=True, array_like=True):
    """Do-not-contact entries and situations of one customer, and the holds that concern this customer alone."""

    customer: str
    version: int = 0
    entries: tuple[SuppressionEntry, ...] = ()
    situations: tuple[Situation, ...] = ()
    holds: tuple[HoldFact, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()

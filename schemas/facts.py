"""What preference and suppression answer: facts, not verdicts. Instants and spans are microseconds."""

from typing import Any

import msgspec

from schemas.times import Instant


class Address(msgspec.Struct, frozen=True, array_like=True):
    """Where the customer can be reached on one channel."""

    channel: str
    address: str
    verified: bool


class Consent(msgspec.Struct, frozen=True, array_like=True):
    """A recorded basis for marketing (`status` granted), or its refusal. Topic `*` covers all."""

    channel: str
    topic: str
    status: str
    at: Instant
    expires: Instant | None = None
    source: str | None = None
    wording: str | None = None
    basis: str | None = None


class OptOut(msgspec.Struct, frozen=True, array_like=True):
    """What the customer switched off."""

    all: bool = False
    cls: str | None = None
    channel: str | None = None
    topic: str | None = None


class FrequencyLimit(msgspec.Struct, frozen=True, array_like=True):
    """The customer's own cap on marketing: `limit` per `day`, `week` or `month`."""

    limit: int
    per: str


class CustomerQuietHours(msgspec.Struct, frozen=True, array_like=True):
    """The customer's own hours of silence: `start` and `end` are minutes since local midnight."""

    days: tuple[str, ...]
    start: int
    end: int


class Preference(msgspec.Struct, frozen=True, array_like=True):
    """What one customer chose, as of `version` (0: nothing is known). `traits` is a JSON object."""

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


class SuppressionEntry(msgspec.Struct, frozen=True, array_like=True):
    """A do-not-contact entry; `address` is None for the customer's, else the index of the address asked about."""

    channel: str | None
    topic: str | None
    classes: tuple[str, ...] | None
    at: Instant
    expires: Instant | None
    reason: str
    address: int | None = None


class Situation(msgspec.Struct, frozen=True, array_like=True):
    """An interval of the customer's history, in order of arrival; `ref` is canonical JSON, empty for none."""

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
    """What speaks against speaking to one customer. `holds` are this customer's alone."""

    customer: str
    version: int = 0
    entries: tuple[SuppressionEntry, ...] = ()
    situations: tuple[Situation, ...] = ()
    holds: tuple[HoldFact, ...] = ()

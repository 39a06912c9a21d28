"""A naive model of preferences: it keeps every change and derives each answer from all of them.

Written from `documents.md`: a change sets its fields unless a later one has set them; traits and addresses that an
identifying event merges have times of their own. Of changes with equal times the one that came last counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.times import format_instant

Value = Any
Stamp = tuple[int, int]
"""Time of the change, and its place in the order of arrival."""
START: Stamp = (-(2**63), -1)
EMPTY: dict[str, Value] = {
    **dict.fromkeys(("locale", "country", "zone", "paused_until", "frequency")),
    "traits": {},
    **{name: [] for name in ("addresses", "consent", "opt_outs", "channel_order", "quiet_hours")},
}


@dataclass
class Wishes:
    """All changes of one customer: whole fields, single traits and single addresses, each with its stamp."""

    whole: list[tuple[Stamp, str, Value]] = field(default_factory=list)
    traits: list[tuple[Stamp, str, Value]] = field(default_factory=list)
    addresses: list[tuple[Stamp, int, Value]] = field(default_factory=list)
    arrived: int = 0

    def stamp(self, at: int) -> Stamp:
        self.arrived += 1
        return at, self.arrived

    def changed(self, fields: dict[str, Value], at: int) -> None:
        """Fields are replaced."""
        stamp = self.stamp(at)
        self.whole += [(stamp, name, value) for name, value in fields.items()]

    def identified(self, plain: dict[str, Value], traits: dict[str, Value], addresses: list[Value], at: int) -> None:
        """Plain fields are replaced, traits and addresses merged."""
        stamp = self.stamp(at)
        self.whole += [(stamp, name, value) for name, value in plain.items()]
        self.traits += [(stamp, name, value) for name, value in traits.items()]
        self.addresses += [(stamp, place, value) for place, value in enumerate(addresses)]

    def patched(self, fields: dict[str, Value], at: int) -> None:
        """A person's word counts at once, even where an event claims a later time."""
        own = [stamp for stamp, name, _ in self.whole if name in fields]
        own += [stamp for stamp, _, _ in self.traits if "traits" in fields]
        own += [stamp for stamp, _, _ in self.addresses if "addresses" in fields]
        self.changed(fields, max([at, *(time for time, _ in own)]))

    def last(self, name: str) -> tuple[Stamp, Value]:
        """The newest setting of the whole field."""
        settings = [(stamp, value) for stamp, field_name, value in self.whole if field_name == name]
        return max(settings, key=lambda each: each[0], default=(START, EMPTY[name]))

    def document(self) -> dict[str, Value]:
        """What the customer's document says."""
        found = {name: self.last(name)[1] for name in EMPTY}
        return found | {"traits": self.known_traits(), "addresses": self.known_addresses()}

    def known_traits(self) -> dict[str, Value]:
        since, traits = self.last("traits")
        merged = dict(traits)
        for stamp, name, value in sorted(self.traits, key=lambda each: each[0]):
            if stamp > since:
                merged[name] = value
        gone = {name for stamp, name, value in self.traits if stamp > since and merged.get(name) is None}
        return {name: value for name, value in merged.items() if name not in gone}

    def known_addresses(self) -> list[Value]:
        """Those listed, as listed; then the merged ones by when, and at which place, they first came."""
        since, listed = self.last("addresses")
        later = sorted(((stamp, place, each) for stamp, place, each in self.addresses if stamp > since), key=order)
        latest = {key_of(each): each for _, _, each in later}
        first: dict[Value, Value] = {}
        for stamp, place, each in later:
            key = key_of(each)
            first[key] = min(first.get(key, (stamp[0], place)), (stamp[0], place))
        keys = [key_of(each) for each in listed]
        added = sorted((key for key in latest if key not in keys), key=lambda key: first[key])
        last = {key_of(each): stamp[0] for stamp, _, each in later if key_of(each) not in keys}
        known = [latest.get(key_of(each), each) for each in listed] + [latest[key] for key in added]
        return [with_former(each, known, last) for each in known]

    def paused_until(self) -> int | None:
        """Until when rules must see the customer as paused."""
        until: int | None = self.last("paused_until")[1]
        return until


def with_former(address: Value, known: list[Value], last: dict[Value, int]) -> Value:
    """A verified e-mail address before which others were given is a former one, since the last of those came."""

    def counts(each: Value) -> bool:
        return each["channel"] == "email" and each["verified"] and not each.get("former")

    newest = max((last[key_of(each)] for each in known if counts(each) and key_of(each) in last), default=None)
    if newest is None or not counts(address) or last.get(key_of(address), newest - 1) >= newest:
        return address
    return address | {"former": format_instant(newest)}


def order(merged: tuple[Stamp, int, Value]) -> tuple[Stamp, int]:
    return merged[:2]


def key_of(address: dict[str, Value]) -> tuple[str, str]:
    """What makes two entries one address: e-mail is compared without case."""
    text = address["address"]
    return address["channel"], text.strip().lower() if address["channel"] == "email" else text

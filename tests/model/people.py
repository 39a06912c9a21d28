"""What the model knows of one customer: wishes, what speaks against speaking, situations and contacts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.model.conditions import Error, found, holds
from tests.model.instants import DAY, duration, instant, optional_instant
from tests.model.refusals import CHANNELS, readable

Document = dict[str, Any]
NEVER = -(10**30)


@dataclass
class Situation:
    """An interval in a customer's history. `lapses_at` is None when it has no lapse."""

    kind: str
    ref: str | None
    opened: int
    lapses_at: int | None
    closed: int | None = None

    def is_open(self, at: int) -> bool:
        return self.closed is None and (self.lapses_at is None or at < self.lapses_at)


@dataclass
class Contact:
    """A contact planned or made. Reported ones have no message id and no rank."""

    event: tuple[str, str]
    campaign: str | None
    channel: str
    cls: str
    intent: str | None
    topic: str | None
    at: int
    made: bool
    message_id: str = ""
    priority: int = 0
    since: int = 0

    @property
    def reported(self) -> bool:
        return self.message_id == ""


@dataclass
class Person:
    """One customer. `set_at` says by field, trait and address when it was last set."""

    customer: str
    values: Document = field(default_factory=dict)
    set_at: dict[Any, int] = field(default_factory=dict)
    entries: list[Document] = field(default_factory=list)
    situations: list[Situation] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    quarantined_until: int = NEVER
    seen: set[tuple[str, str]] = field(default_factory=set)

    def variables(self, event: Document) -> Document:
        """What a condition sees."""
        customer = {name: self.values.get(name) for name in ("locale", "country", "zone")}
        customer |= {"id": self.customer, "traits": self.values.get("traits") or {}}
        return {"event": event, "customer": customer}


def take_in(person: Person, event: Document, policy: Document, now: int) -> bool:
    """The event changes what is known. Returns whether anything of it counts."""
    at = instant(event["time"])
    data, may_refuse, cut = readable(event, policy)
    event = {**event, "data": data}
    if may_refuse:
        person.quarantined_until = max(person.quarantined_until, now + DAY)
    if refused(event, policy):
        return False
    if event["type"] == "tactful.preference.changed":
        for name, value in data.items():
            if person.set_at.get(name, NEVER) > at:
                continue
            if name in cut:
                known = person.values.get(name) or []
                person.values[name] = [*known, *(each for each in value if each not in known)]
            else:
                person.values[name] = with_later_ones(person, name, value, at)
                person.set_at[name] = at
    elif event["type"] == "tactful.customer.identified":
        identify(person, data, at)
    elif event["type"] == "tactful.customer.erased":
        person.entries.append({"scope": {}, "at": event["time"], "expires": None})
    elif event["type"] == "tactful.contact.reported":
        report(person, event, data)
    for kind in policy.get("situations", []):
        change_situation(person, event, kind, at)
    return True


def with_later_ones(person: Person, name: str, value: Any, at: int) -> Any:
    """The new value of a field, and those of its traits or addresses that were set later on their own."""

    def later(key: tuple[str, str]) -> bool:
        return person.set_at.get(key, NEVER) > at

    before = person.values.get(name) or {}
    if name == "traits":
        return {**(value or {}), **{each: before[each] for each in before if later(("trait", each))}}
    if name == "addresses":
        kept = {key_of(each): each for each in before if later(key_of(each))}
        listed = [kept.pop(key_of(each), each) for each in value or []]
        return [*listed, *kept.values()]
    return value


def key_of(address: Document) -> tuple[str, str]:
    return address["channel"], address["address"]


def identify(person: Person, data: Document, at: int) -> None:
    """Plain fields are replaced; traits and addresses are merged one by one."""
    for name in ("locale", "country", "zone"):
        if name in data and person.set_at.get(name, NEVER) <= at:
            person.values[name] = data[name]
            person.set_at[name] = at
    traits = person.values["traits"] = dict(person.values.get("traits") or {})
    for name, value in (data.get("traits") or {}).items():
        if max(person.set_at.get("traits", NEVER), person.set_at.get(("trait", name), NEVER)) <= at:
            traits[name] = value
            person.set_at["trait", name] = at
    addresses = person.values["addresses"] = list(person.values.get("addresses") or [])
    for address in data.get("addresses") or []:
        key = key_of(address)
        if max(person.set_at.get("addresses", NEVER), person.set_at.get(key, NEVER)) > at:
            continue
        places = [n for n, each in enumerate(addresses) if key_of(each) == key]
        if places:
            addresses[places[0]] = address
        else:
            addresses.append(address)
        person.set_at[key] = at


def report(person: Person, event: Document, data: Document) -> None:
    """Another tool's contact: it counts as made, with no rank."""
    person.contacts.append(
        Contact(
            (event["source"], event["id"]), data.get("campaign"), data["channel"], data["class"], data.get("intent"),
            data.get("topic"), instant(data.get("at") or event["time"]), made=True,
        )
    )  # fmt: skip


def refused(event: Document, policy: Document) -> bool:
    """Whether the event, without what cannot be read, does nothing: it has not been seen then."""
    data = event["data"]
    if event["type"] == "tactful.preference.changed":
        return not data
    if event["type"] in ("tactful.situation.opened", "tactful.situation.closed"):
        kinds = [each["kind"] for each in policy.get("situations", [])]
        return data.get("kind") not in kinds if kinds else "kind" not in data
    if event["type"] != "tactful.contact.reported":
        return False
    if data["channel"] not in CHANNELS:
        return True
    return data.get("at") is not None and instant(data["at"]) > instant(event["time"]) + 30 * DAY


def change_situation(person: Person, event: Document, kind: Document, at: int) -> None:
    """Closes first, then opens."""
    ref = reference(event, kind)
    current = [each for each in person.situations if each.kind == kind["kind"] and each.ref == ref][-1:]
    closes = any(matches(event, each) is True for each in kind.get("closes", []))
    opens = any(matches(event, each) is not False for each in kind["opens"])
    data = event.get("data") or {}
    closes = closes or (event["type"] == "tactful.situation.closed" and data.get("kind") == kind["kind"])
    opens = opens or (event["type"] == "tactful.situation.opened" and data.get("kind") == kind["kind"])
    for situation in current:
        if closes and situation.is_open(at):
            situation.closed = at
    if opens and not any(each.is_open(at) for each in current):
        lapses = kind.get("lapses")
        person.situations.append(Situation(kind["kind"], ref, at, None if lapses is None else at + duration(lapses)))


def reference(event: Document, kind: Document) -> str | None:
    """The situation's ref as JSON text; None is the ref of those without one."""
    if event["type"].startswith("tactful.situation."):
        value = (event.get("data") or {}).get("ref")
    else:
        value = found(kind["ref"], event) if kind.get("ref") else None
    return None if value is None or isinstance(value, Error) else json.dumps(value, sort_keys=True)


def matches(event: Document, rule: Document) -> bool | None:
    """Whether the event meets a rule that opens or closes; None for a type error."""
    if event["type"] != rule["event"]:
        return False
    return True if rule.get("when") is None else holds(rule["when"], {"event": event})


def live(record: Document, at: int) -> bool:
    """Whether an entry or a consent stands at this instant."""
    expires = optional_instant(record.get("expires"))
    return instant(record["at"]) <= at and (expires is None or at < expires)

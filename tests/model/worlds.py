"""Random worlds: a policy, campaigns, customers, what speaks against them, and a stream of events.

Times lie on a coarse grid around nights on which something happens to the clocks, so that equal times and exact
distances are common; a few are a microsecond or a second off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.model.customers import (
    COUNTRIES,
    consents,
    customers,
    entries,
    opt_outs,
    orders,
    stops,
    times,
    traits,
    wishes,
)
from tests.model.instants import DAY, HOUR, instant, written
from tests.model.people import Document
from tests.model.rulebooks import CHANNELS, CLASSES, INTENTS, KEYS, TOPICS, campaigns, policies, rarely, windows

NIGHTS = {
    "2026-03-28": "Europe/Berlin",
    "2026-10-24": "Europe/Berlin",
    "2026-03-07": "America/New_York",
    "2026-10-31": "America/New_York",
    "2026-04-04": "Australia/Lord_Howe",
    "2026-04-23": "Africa/Cairo",
    "2026-09-05": "America/Santiago",
    "2026-03-07T12:00:00+00:00": "America/Havana",
    "2010-11-06": "America/St_Johns",
    "2011-12-29": "Pacific/Apia",
    "2026-12-30": "Asia/Kathmandu",
    "2028-02-28": "Atlantic/Azores",
    "2026-01-30": "Etc/UTC",
}
SOURCES = ("/shop", "/shop", "/app")
SHOP = ("shop.a", "shop.a", "shop.b")
Draw = st.DrawFn


@dataclass(frozen=True)
class World:
    """All inputs of one run."""

    policy: Document
    campaigns: list[Document]
    customers: list[Document]
    against: list[Document]
    events: list[Document]
    until: str
    confirm_after: str = "0s"

    def write(self, folder: Path) -> None:
        """Lays the world out like a conformance case."""
        (folder / "campaigns").mkdir(parents=True, exist_ok=True)
        for stale in (folder / "campaigns").iterdir():
            stale.unlink()
        for campaign in self.campaigns:
            (folder / "campaigns" / f"{campaign['key']}.json").write_text(json.dumps(campaign), "utf-8")
        (folder / "policy.json").write_text(json.dumps(self.policy), "utf-8")
        (folder / "until.txt").write_text(self.until, "utf-8")
        (folder / "confirm-after.txt").write_text(self.confirm_after, "utf-8")
        names = {"preferences": self.customers, "suppressions": self.against, "events": self.events}
        for name, documents in names.items():
            lines = "".join(json.dumps(each) + "\n" for each in documents)
            (folder / f"{name}.jsonl").write_text(lines, "utf-8")


@st.composite
def worlds(draw: Draw) -> World:
    """One world."""
    day = draw(st.sampled_from(sorted(NIGHTS)))
    start, zone = instant(day if "T" in day else day + "T00:00:00+00:00"), NIGHTS[day]
    zones = [zone, zone, "Etc/UTC", "Europe/Berlin"]
    policy = draw(policies(zones))
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
    shop = [draw(campaigns(start)) | {"key": key} for key in keys]
    names = ["c-1", "c-2"] if rarely(draw, 4) else ["c-1"]
    people = [draw(customers(name, zones, start)) for name in names]
    against = [draw(entries(names, start)) for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2])))]
    against += [draw(stops(start)) | {"key": key} for key in ["h-2", "h-1"][: draw(st.sampled_from([0, 0, 0, 1, 2]))]]
    stream = draw(events(names, zones, start))
    until = draw(times(start)) if rarely(draw, 8) else written(start + 14 * DAY)
    confirm_after = draw(st.sampled_from(["never", "never", "0s", "10m", "45m", "1h", "8h"]))
    return World(policy, shop, people, against, stream, str(until), confirm_after)


@st.composite
def events(draw: Draw, names: list[str], zones: list[str], start: int) -> list[Document]:
    """A stream in order of time, with a few late events and repetitions."""
    stream = [draw(single_event(names, zones, start)) for _ in range(draw(st.sampled_from([4, 8, 12, 16, 20])))]
    stream.sort(key=lambda each: instant(each["time"]))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        place = draw(st.integers(0, len(stream) - 1))
        stream.insert(place + draw(st.integers(0, 4)), stream.pop(place))
    for number, event in enumerate(stream):
        event["id"] = f"e-{number // 2 if event['source'] == '/app' else number}"
    if rarely(draw, 6):
        again = draw(st.sampled_from(stream))
        changed = {"time": draw(times(start))} if draw(st.booleans()) else {}
        stream.insert(draw(st.integers(0, len(stream))), again | changed)
    return stream


@st.composite
def single_event(draw: Draw, names: list[str], zones: list[str], start: int) -> Document:
    """One event."""
    at = draw(times(start))
    other = {"situation": situation_data(), "reported": reported_data(at), "changed": changed_data(zones, start)}
    other["faulty"] = faulty_data()
    about = draw(st.sampled_from(["shop"] * 12 + ["changed", "reported", "situation"] * 2 + ["faulty"]))
    kind, data = draw(other.get(about, shop_data()))
    event: dict[str, Any] = {
        "specversion": "1.0",
        "source": draw(st.sampled_from(SOURCES)),
        "type": kind,
        "time": at,
        "data": data,
    }
    event["subject"] = draw(st.sampled_from(names))
    if kind == "tactful.customer.identified" and draw(st.booleans()):
        data["addresses"] = [{"channel": "push", "address": f"new-{event['subject']}", "verified": True}]
    if rarely(draw, 10):
        event["expirytime"] = written(instant(at) + draw(st.sampled_from([HOUR, 12 * HOUR, DAY])))
    return event


def shop_data() -> st.SearchStrategy[tuple[str, Document]]:
    """What triggers campaigns."""
    total = st.sampled_from([5, 10, 10.0, 20, "ten", None])
    data = st.fixed_dictionaries({}, optional={"total": total, "vip": st.booleans()})
    return st.tuples(st.sampled_from(SHOP), data)


def situation_data() -> st.SearchStrategy[tuple[str, Document]]:
    """What opens and closes situations."""
    case = st.fixed_dictionaries({}, optional={"case": st.sampled_from(["A", "B", 1, None])})
    built_in = st.fixed_dictionaries(
        {"kind": st.sampled_from(["complaint", "score"])}, optional={"ref": st.sampled_from(["A", "B"])}
    )
    score = st.fixed_dictionaries({}, optional={"score": st.sampled_from([3, 9, "bad"])})
    return st.one_of(
        st.tuples(st.sampled_from(["shop.filed", "shop.resolved", "shop.both"]), case),
        st.tuples(st.sampled_from(["tactful.situation.opened", "tactful.situation.closed"]), built_in),
        st.tuples(st.just("tactful.feedback.given"), score),
    )


@st.composite
def reported_data(draw: Draw, at: str) -> tuple[str, Document]:
    """A contact of another tool, at times of the near future."""
    data: Document = {"channel": draw(st.sampled_from(CHANNELS)), "class": draw(st.sampled_from(CLASSES))}
    optional = {"intent": INTENTS, "topic": TOPICS, "campaign": KEYS}
    for name, values in optional.items():
        if draw(st.booleans()):
            data[name] = draw(st.sampled_from(values))
    away = draw(st.sampled_from([None, None, 0, -DAY, 2 * HOUR, DAY, 30 * DAY, 30 * DAY + 1]))
    if away is not None:
        data["at"] = written(instant(at) + away)
    return "tactful.contact.reported", data


def faulty_data() -> st.SearchStrategy[tuple[str, Document]]:
    """What cannot be read whole; about half of it may have been a refusal."""
    changed, identified = "tactful.preference.changed", "tactful.customer.identified"
    opened, reported = "tactful.situation.opened", "tactful.contact.reported"
    faults: list[tuple[str, Document]] = [
        (changed, {}),
        (changed, {"optouts": [{"all": True}]}),
        (changed, {"opt_outs": [{"topic": TOPICS[0]}, {"chanel": "sms"}]}),
        (changed, {"opt_outs": [{"channel": "pigeon"}], "country": "PT"}),
        (changed, {"paused_until": "tomorrow", "zone": "Etc/UTC"}),
        (changed, {"doNotContact": True, "traits": {"vip": True}}),
        (changed, {"zone": "Berln", "country": "DE"}),
        (changed, {"quiet_hours": "never", "traits": {"tier": 3}}),
        (identified, {"zone": "Berln", "country": "CL"}),
        (identified, {"opt_outs": [{"all": True}], "traits": {"vip": 1}}),
        (identified, {"traits": {"tier": "1"}, "nickname": "Al"}),
        (opened, {"kind": "complain"}),
        (opened, {"kind": "not a kind!"}),
        (opened, {"kind": "zebra"}),
        (reported, {"channel": "carrier pigeon", "class": "marketing"}),
    ]
    return st.sampled_from(faults).map(lambda each: (each[0], dict(each[1])))


@st.composite
def changed_data(draw: Draw, zones: list[str], start: int) -> tuple[str, Document]:
    """What the customer changes."""
    plain = {"country": st.sampled_from(COUNTRIES), "zone": st.sampled_from([*zones, None]), "traits": traits()}
    kind = draw(st.sampled_from(["changed"] * 14 + ["identified"] * 4 + ["erased"]))
    if kind == "erased":
        return "tactful.customer.erased", {}
    fields: dict[str, st.SearchStrategy[Any]] = dict(plain)
    if kind == "changed":
        fields |= {"opt_outs": st.lists(opt_outs(), max_size=2), "quiet_hours": st.lists(windows(), max_size=2)}
        fields |= {"consent": consents(start), "channel_order": orders(), "frequency": wishes()}
        fields["paused_until"] = st.one_of(st.none(), times(start))
    name = draw(st.sampled_from(sorted(fields)))
    data = {name: draw(fields[name])}
    return f"tactful.{'preference.changed' if kind == 'changed' else 'customer.identified'}", data

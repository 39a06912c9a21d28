"""Random policies and campaigns, small enough that their rules meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.model.instants import DAY, HOUR, SECOND, WEEKDAYS, written
from tests.model.people import Document

CHANNELS = ("email", "push", "sms", "in_app")
CLASSES = ("transactional", "service", "marketing")
INTENTS = ("advertise", "ask_review", "inform")
TOPICS = ("news", "offers", "account")
KEYS = ("alpha", "beta", "gamma", "delta")
LENGTHS = ("1h", "2h", "12h", "24h", "1d", "36h", "2d")
CONDITIONS = (
    "event.data.total >= 10",
    "event.data.total == 10",
    "customer.traits.vip == true",
    "!(customer.traits.vip == true)",
    "event.data.total > 5 || customer.traits.vip == true",
    "has(customer.traits.tier) && customer.traits.tier >= 1",
    'customer.country == "PT"',
    'customer.zone != "Etc/UTC"',
    "event.data.total",
    "event.data.vip",
)
OWN_EVENTS = ("tactful.preference.changed", "tactful.contact.reported", "tactful.feedback.given", "shop.filed")
TRIGGERS = ("shop.a",) * 9 + ("shop.b",) * 4 + OWN_EVENTS
CONTENT = {
    "email": {"subject": "Hello", "html": '<p>Hello</p><p><a href="{{ links.unsubscribe }}">Unsubscribe</a></p>'},
    "push": {"title": "Hello", "body": "Have a look", "link": "https://example.org/"},
    "sms": {"text": "Hello"},
    "in_app": {"title": "Hello", "body": "Have a look"},
}
Draw = st.DrawFn


def rarely(draw: Draw, one_in: int) -> bool:
    """True once in so many times; shrinks to False."""
    return bool(draw(st.sampled_from([False] * (one_in - 1) + [True])))


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


@st.composite
def scopes(draw: Draw) -> Document:
    """Mostly wide."""
    fields = {"channels": CHANNELS, "topics": TOPICS, "classes": CLASSES, "intents": INTENTS, "campaigns": KEYS}
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True))
    if draw(st.booleans()):
        names = [name for name in names if name == "classes"]
    return {name: draw(some(fields[name])) for name in names}


@st.composite
def windows(draw: Draw) -> Document:
    """Quiet hours, many of them over midnight or near a change of the clocks."""
    clock = st.sampled_from(["00:00", "01:30", "02:00", "02:30", "03:00", "08:00", "12:00", "21:00", "23:30", "23:59"])
    start, end = draw(st.lists(clock, min_size=2, max_size=2, unique=True))
    window: Document = {"from": start, "to": end}
    if rarely(draw, 3):
        window["days"] = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True))
    return window


@st.composite
def caps(draw: Draw) -> Document:
    calendar = {"calendar": draw(st.sampled_from(["day", "week", "month"]))}
    if draw(st.booleans()):
        calendar["zone"] = draw(st.sampled_from(["customer", "org"]))
    window = draw(st.sampled_from([{"rolling": draw(st.sampled_from(LENGTHS))}, calendar]))
    on_exceed = draw(st.sampled_from(["defer", "defer", "drop"]))
    limit = draw(st.sampled_from([1, 2, 2, 3]))
    return {"scope": draw(scopes()), "limit": limit, "window": window, "on_exceed": on_exceed}


@st.composite
def histories(draw: Draw) -> Document:
    never: dict[str, Any] = {"within": draw(st.sampled_from(LENGTHS))}
    if draw(st.booleans()):
        never["after"] = {"contacts": draw(scopes())}
    else:
        never["after"] = {"situation": draw(st.sampled_from(["complaint", "score"]))}
        never["while_open"] = draw(st.booleans())
    return {"scope": draw(scopes()), "never": never, "on_match": draw(st.sampled_from(["defer", "defer", "drop"]))}


@st.composite
def gaps(draw: Draw) -> Document:
    return {"scope": draw(scopes()), "gap": draw(st.sampled_from(["1h", "2h", "5h"]))}


@st.composite
def quiet(draw: Draw) -> Document:
    return {"scope": draw(scopes()), **draw(windows())}


@st.composite
def policies(draw: Draw, zones: list[str]) -> Document:
    """One policy."""
    week = draw(st.sampled_from(["monday", "sunday", "wednesday"]))
    policy: Document = {"zone": draw(st.sampled_from(zones)), "week_start": week}
    if draw(st.booleans()):
        policy["unknown_zones"] = draw(st.lists(st.sampled_from(sorted(set(zones))), min_size=1, unique=True))
    policy["topics"] = [{"key": each, "name": each, "required": each == "account"} for each in TOPICS]
    filed: Document = {"event": "shop.filed"}
    if rarely(draw, 4):
        filed["when"] = 'event.data.case == "A"'
    policy["situations"] = [
        {"kind": "complaint", "opens": [filed, {"event": "shop.both"}], "ref": "data.case"},
        {"kind": "score", "opens": [{"event": "tactful.feedback.given", "when": "event.data.score <= 6"}]},
    ]
    closes = [[{"event": "shop.resolved"}, {"event": "shop.both"}], [{"event": "shop.resolved"}]]
    for situation, closing in zip(policy["situations"], closes, strict=True):
        situation |= {"closes": closing, "lapses": draw(st.sampled_from(["6h", "1d", "3d"]))}
    rules = {"contact_history": histories(), "frequency_caps": caps(), "min_gaps": gaps(), "quiet_hours": quiet()}
    ids = []
    for name, strategy in rules.items():
        policy[name] = [draw(strategy) for _ in range(draw(st.sampled_from([0, 1, 1, 2])))]
        for number, rule in enumerate(policy[name]):
            rule["id"] = f"{name.replace('_', '-')}-{number}"
            ids.append(rule["id"])
    if ids and rarely(draw, 8):
        policy["shadow"] = [draw(st.sampled_from(ids))]
    if rarely(draw, 8):
        policy["holdout"] = {"percent": draw(st.sampled_from([20, 50.5])), "salt": "autumn"}
    if rarely(draw, 8):
        policy["fail_open"] = ["alpha"]
    return policy


@st.composite
def campaigns(draw: Draw, start: int) -> Document:
    """One campaign."""
    cls = draw(st.sampled_from([*CLASSES, "marketing", "marketing"]))
    channels = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True))
    strategy = draw(st.sampled_from(["first", "all", "fallback"]))
    campaign: Document = {"key": draw(st.sampled_from(KEYS)), "name": "Hello", "owner": "growth", "class": cls}
    campaign |= {"intent": draw(st.sampled_from(INTENTS)), "priority": draw(st.sampled_from([10, 50, 50, 90]))}
    campaign |= {"channels": channels, "strategy": strategy, "default_locale": "en"}
    if strategy == "fallback":
        campaign["fallback_after"] = draw(st.sampled_from(["30m", "1h", "6h", "2d"]))
    campaign["content"] = {channel: {"en": CONTENT[channel]} for channel in channels}
    campaign["trigger"] = {"event": draw(st.sampled_from(TRIGGERS))}
    campaign["ttl"] = draw(st.sampled_from(["7d", "3d", "2d", "36h", "12h"]))
    campaign["reentry"] = draw(st.sampled_from(["always"] * 20 + ["once", "every 12h", "every 2d"]))
    topics = ("news", "offers") if cls == "marketing" else (*TOPICS, None)
    campaign["topic"] = draw(st.sampled_from(topics))
    for name, one_in in (("audience", 14), ("when", 20)):
        if rarely(draw, one_in):
            place = campaign["trigger"] if name == "when" else campaign
            place[name] = draw(st.sampled_from(CONDITIONS))
    if rarely(draw, 15):
        campaign["start"] = written(start + draw(st.integers(0, 48)) * HOUR)
    if rarely(draw, 15):
        campaign["end"] = written(start + 2 * DAY + draw(st.integers(1, 48)) * HOUR + SECOND)
    if cls != "transactional" and rarely(draw, 15):
        campaign["holdout"] = 30
    return campaign

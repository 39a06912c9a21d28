"""The rules that count contacts: what they refuse at an instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

from tests.model.instants import WEEKDAYS, duration, first_instant, local
from tests.model.people import Contact, Document
from tests.model.rules import Candidate, Refusal, concerns, covers, live_rules

CLASSES = ("transactional", "service", "marketing")
Rank = tuple[int, int, float, str, str]
PERIODS: dict[str, Callable[[date, int], object]] = {
    "day": lambda day, first: day,
    "week": lambda day, first: day - timedelta(days=(day.weekday() - first) % 7),
    "month": lambda day, first: (day.year, day.month),
}


def rank(cls: str, priority: int, since: int | None, campaign: str, message_id: str) -> Rank:
    """Smaller is higher. What was never planned comes last."""
    return CLASSES.index(cls), -priority, float("inf") if since is None else since, campaign, message_id


def rank_of(candidate: Candidate) -> Rank:
    campaign = candidate.campaign
    priority = campaign.get("priority", 50)
    return rank(candidate.cls, priority, candidate.since, campaign["key"], candidate.message_id)


def outranks(contact: Contact, candidate: Candidate) -> bool:
    """Contacts reported by other tools have no rank."""
    if contact.reported:
        return False
    assert contact.campaign is not None
    own = rank(contact.cls, contact.priority, contact.since, contact.campaign, contact.message_id)
    return own < rank_of(candidate)


def is_sibling(contact: Contact, candidate: Candidate) -> bool:
    """Whether it stems from the same event and campaign."""
    return contact.event == candidate.key and contact.campaign == candidate.campaign["key"]


def counted(candidate: Candidate) -> list[Contact]:
    """The contacts that count against the candidate: its own, and with a choice that of its choice, does not."""
    single = candidate.campaign.get("strategy", "first") == "first"
    return [
        each
        for each in candidate.person.contacts
        if each.message_id != candidate.message_id
        and not (single and is_sibling(each, candidate))
        and (each.made or outranks(each, candidate))
    ]


def in_scope(contact: Contact, scope: Document) -> bool:
    return covers(scope, (contact.channel, contact.topic, contact.cls, contact.intent, contact.campaign))


def reentry_rule(candidate: Candidate, at: int) -> Iterator[Refusal]:
    words = str(candidate.campaign.get("reentry", "always")).split()
    others = [
        each.at
        for each in counted(candidate)
        if each.campaign == candidate.campaign["key"] and each.event != candidate.key
    ]
    if words[0] == "once" and others:
        yield Refusal("reentry", "duplicate", "deny")
    if words[0] == "every" and any(abs(at - each) < duration(words[1]) for each in others):
        yield Refusal("reentry", "duplicate", "deny")


def history_rule(candidate: Candidate, policy: Document, at: int) -> Iterator[Refusal]:
    for rule in live_rules(policy, "contact_history"):
        if not concerns(rule.get("scope") or {}, candidate):
            continue
        after = rule["never"]["after"]
        if "contacts" in after:
            yield from after_contacts(candidate, rule, after["contacts"], at)
        else:
            yield from after_situations(candidate, rule, at)


def after_contacts(candidate: Candidate, rule: Document, scope: Document, at: int) -> Iterator[Refusal]:
    within = duration(rule["never"]["within"])
    times = [each.at for each in counted(candidate) if in_scope(each, scope) and not is_sibling(each, candidate)]

    def refused(instant: int) -> bool:
        return any(time <= instant < time + within for time in times)

    if refused(at):
        kind = "deny" if rule["on_match"] == "drop" else "defer"
        until = min(time + within for time in times if time + within > at and not refused(time + within))
        yield Refusal("contact_history", "contact_history", kind, rule["id"], until)


def after_situations(candidate: Candidate, rule: Document, at: int) -> Iterator[Refusal]:
    never, until = rule["never"], 0
    within, while_open = duration(never["within"]), never.get("while_open", False)
    kind = "deny" if rule["on_match"] == "drop" else "defer"
    for situation in candidate.person.situations:
        if situation.kind != never["after"]["situation"]:
            continue
        if while_open and situation.is_open(at):
            parks = "park" if kind == "defer" else "deny"
            yield Refusal("contact_history", "contact_history", parks, rule["id"], situation=situation)
        end = situation.closed
        if end is None and while_open:
            end = situation.lapses_at
        until = max(until, max(situation.opened, situation.opened if end is None else end) + within)
    if at < until:
        yield Refusal("contact_history", "contact_history", kind, rule["id"], until)


def caps_of(candidate: Candidate, policy: Document) -> list[Document]:
    """The caps that concern the candidate, the customer's own wish last."""
    caps = live_rules(policy, "frequency_caps")
    wish = candidate.person.values.get("frequency")
    if wish:
        window = {"calendar": wish["per"], "zone": "customer"}
        scope = {"classes": ["marketing"]}
        own = {"id": "customer-wish", "scope": scope, "limit": wish["limit"], "window": window, "on_exceed": "defer"}
        caps = [*caps, own]
    return [
        each for each in caps if cap_covers_channel(each, candidate.channel) and concerns(scope_of(each), candidate)
    ]


def scope_of(rule: Document) -> Document:
    return rule.get("scope") or {}


def cap_covers_channel(cap: Document, channel: str) -> bool:
    """Only a cap that names `in_app` concerns and counts it."""
    return channel != "in_app" or "in_app" in (scope_of(cap).get("channels") or [])


def cap_rule(candidate: Candidate, policy: Document, at: int) -> Iterator[Refusal]:
    """The rows `frequency_cap` and `arbitration`."""
    for cap in caps_of(candidate, policy):
        contacts = [
            each
            for each in counted(candidate)
            if cap_covers_channel(cap, each.channel) and in_scope(each, scope_of(cap))
        ]
        if scope_of(cap).get("channels") is None:
            siblings = [each for each in contacts if is_sibling(each, candidate)]
            if any(each.made and each.at <= at for each in siblings):
                continue
            contacts = [each for each in contacts if each not in siblings]
        times = [each.at for each in contacts]
        if has_room(candidate, policy, cap, times, at):
            continue
        if cap["on_exceed"] == "defer":
            until = next_room(candidate, policy, cap, times, at)
            yield Refusal("frequency_cap", "cap_window", "defer", cap["id"], until)
            continue
        winners = [each for each in contacts if outranks(each, candidate) and came_first(each, candidate)]
        alone = {**cap, "limit": 1}
        near = [each for each in winners if not has_room(candidate, policy, alone, [each.at], at)]
        if near and has_room(candidate, policy, cap, [each.at for each in contacts if each not in winners], at):
            last = max(near, key=rank_of_contact).message_id
            yield Refusal("arbitration", "lower_priority", "deny", cap["id"], lost_to=last)
        else:
            yield Refusal("frequency_cap", "frequency_cap", "deny", cap["id"])


def rank_of_contact(contact: Contact) -> Rank:
    return rank(contact.cls, contact.priority, contact.since, contact.campaign or "", contact.message_id)


def came_first(contact: Contact, candidate: Candidate) -> bool:
    """Whether it took the candidate's place: by the same event, or since the candidate was planned."""
    if contact.event == candidate.key:
        return True
    if candidate.since is None:
        return False
    return contact.since > candidate.since or (contact.made and contact.at > candidate.since)


def has_room(candidate: Candidate, policy: Document, cap: Document, times: list[int], at: int) -> bool:
    window, limit = cap["window"], cap["limit"]
    if "rolling" in window:
        return rolling_room(times, duration(window["rolling"]), limit, at)
    zone = cap_zone(candidate, policy, window)
    same_period = [each for each in times if period(policy, window, zone, each) == period(policy, window, zone, at)]
    return len(same_period) < int(limit)


def rolling_room(times: list[int], length: int, limit: int, at: int) -> bool:
    """No half-open window of this length that contains `at` holds `limit` or more of the times."""
    starts = [each for each in [*times, at] if at - length < each <= at]
    return all(sum(start <= each < start + length for each in times) < limit for start in starts)


def next_room(candidate: Candidate, policy: Document, cap: Document, times: list[int], at: int) -> int:
    """The first instant after `at` with room."""
    window = cap["window"]
    if "rolling" in window:
        length = duration(window["rolling"])
        ends = sorted(each + length for each in times if each + length > at)
        return next(each for each in ends if rolling_room(times, length, cap["limit"], each))
    zone = cap_zone(candidate, policy, window)
    day = local(at, zone).date()
    while True:
        day += timedelta(days=1)
        start = first_instant(day, zone)
        if start is None or period(policy, window, zone, start) == period(policy, window, zone, at):
            continue
        if has_room(candidate, policy, cap, times, start):
            return start


def cap_zone(candidate: Candidate, policy: Document, window: Document) -> str:
    own = candidate.person.values.get("zone") if window.get("zone") != "org" else None
    return str(own or policy["zone"])


def period(policy: Document, window: Document, zone: str, at: int) -> object:
    """The day, week or month of the local date."""
    first = WEEKDAYS.index(policy.get("week_start", "monday")[:3])
    return PERIODS[window["calendar"]](local(at, zone).date(), first)


def gap_rule(candidate: Candidate, policy: Document, at: int) -> Iterator[Refusal]:
    for rule in live_rules(policy, "min_gaps"):
        if not concerns(scope_of(rule), candidate):
            continue
        gap = duration(rule["gap"])
        times = [
            each.at for each in counted(candidate) if in_scope(each, scope_of(rule)) and not is_sibling(each, candidate)
        ]

        def close(instant: int, times: list[int] = times, gap: int = gap) -> bool:
            return any(abs(instant - time) < gap for time in times)

        if close(at):
            until = min(each + gap for each in times if each + gap > at and not close(each + gap))
            yield Refusal("min_gap", "cap_window", "defer", rule["id"], until)

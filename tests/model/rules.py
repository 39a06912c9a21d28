"""The rules that look at a candidate and its customer, not at contacts: what they refuse at an instant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from schemas.ids import compute_message_id
from tests.model.addresses import canonical
from tests.model.conditions import holds, same
from tests.model.instants import (
    DAY,
    WEEKDAYS,
    changes_between,
    duration,
    instant,
    instants_of,
    local,
    minutes_of,
    optional_instant,
    zones_of_country,
)
from tests.model.people import Document, Person, Situation, live

FOREVER = 10**17


@dataclass
class Refusal:
    """What one rule says against an instant. kind: deny, fail, defer (until `until`) or park."""

    row: str
    reason: str
    kind: str
    rule_id: str | None = None
    until: int = 0
    situation: Situation | None = None
    lost_to: str | None = None


@dataclass
class Candidate:
    """One campaign on one channel for one event. `since` is None when it was never planned."""

    person: Person
    event: Document
    campaign: Document
    channel: str
    since: int | None
    key: tuple[str, str] = field(init=False)
    message_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = (self.event["source"], self.event["id"])
        self.message_id = compute_message_id(self.person.customer, *self.key, self.campaign["key"], self.channel)

    @property
    def cls(self) -> str:
        return str(self.campaign["class"])

    @property
    def expires_at(self) -> int:
        own = instant(self.event["time"]) + duration(self.campaign.get("ttl", "7d"))
        given = optional_instant(self.event.get("expirytime"))
        return own if given is None else min(own, given)


Attributes = tuple[str, str | None, str, str | None, str | None]


def covers(scope: Document, attributes: Attributes) -> bool:
    """Whether a scope of the policy covers this channel, topic, class, intent and campaign."""
    channel, topic, cls, intent, campaign = attributes
    values = {"channels": channel, "topics": topic, "intents": intent, "campaigns": campaign}
    if cls not in (scope.get("classes") or ["service", "marketing"]):
        return False
    return all(scope.get(name) is None or value in scope[name] for name, value in values.items())


def concerns(scope: Document, candidate: Candidate) -> bool:
    """Whether a scope of the policy covers the candidate."""
    campaign = candidate.campaign
    topic, key = campaign.get("topic"), campaign["key"]
    return covers(scope, (candidate.channel, topic, candidate.cls, campaign.get("intent"), key))


def campaign_rule(candidate: Candidate, at: int) -> Iterator[Refusal]:
    start, end = (optional_instant(candidate.campaign.get(name)) for name in ("start", "end"))
    if (start is not None and at < start) or (end is not None and at >= end):
        yield Refusal("campaign", "campaign_inactive", "deny")


def audience_rule(candidate: Candidate, policy: Document) -> Iterator[Refusal]:
    condition = candidate.campaign.get("audience")
    if condition is None:
        return
    result = holds(condition, candidate.person.variables(candidate.event))
    passes = candidate.cls == "transactional" and candidate.campaign["key"] in policy.get("fail_open", [])
    if result is None and not passes:
        yield Refusal("audience", "policy_unavailable", "fail")
    if result is False:
        yield Refusal("audience", "not_in_audience", "deny")


def expiry_rule(candidate: Candidate, at: int) -> Iterator[Refusal]:
    if at >= candidate.expires_at:
        yield Refusal("expiry", "expired", "deny")


def usable_addresses(candidate: Candidate) -> list[str]:
    """Where the candidate might be sent, in canonical form: for marketing only what is verified."""
    every = candidate.person.values.get("addresses") or []
    on_channel = [each for each in every if each["channel"] == candidate.channel and not each.get("former")]
    kept = [each for each in on_channel if candidate.cls != "marketing" or each.get("verified")]
    country = candidate.person.values.get("country")
    return [form for each in kept if (form := canonical(candidate.channel, each["address"], country)) is not None]


def address_rules(candidate: Candidate, by_address: list[Document], at: int) -> Iterator[Refusal]:
    """The rows `address` and `suppression`."""
    addresses = usable_addresses(candidate)
    if not addresses and candidate.channel != "in_app":
        yield Refusal("address", "no_address", "deny")

    def covering(entry: Document) -> bool:
        scope = entry.get("scope") or {}
        return (
            live(entry, at)
            and scope.get("channel") in (None, candidate.channel)
            and (scope.get("topic") is None or scope["topic"] == candidate.campaign.get("topic"))
            and candidate.cls in (scope.get("classes") or [candidate.cls])
        )

    def stopped(address: str) -> bool:
        return any(
            covering(each) and canonical(candidate.channel, each["address"], None) == address for each in by_address
        )

    everywhere = bool(addresses) and all(map(stopped, addresses))
    if everywhere or any(covering(each) for each in candidate.person.entries):
        yield Refusal("suppression", "suppression_list", "deny")


def consent_rule(candidate: Candidate, at: int) -> Iterator[Refusal]:
    if candidate.cls != "marketing":
        return
    records = [
        each
        for each in candidate.person.values.get("consent") or []
        if each["channel"] == candidate.channel
        and each["topic"] in ("*", candidate.campaign.get("topic"))
        and instant(each["at"]) <= at
    ]
    newest = max((instant(each["at"]) for each in records), default=None)
    deciding = [each for each in records if instant(each["at"]) == newest]
    if not deciding or not all(each["status"] == "granted" and live(each, at) for each in deciding):
        yield Refusal("consent", "no_consent", "deny")


def quarantine_rule(candidate: Candidate, at: int) -> Iterator[Refusal]:
    if candidate.cls != "transactional" and at < candidate.person.quarantined_until:
        yield Refusal("quarantine", "quarantined", "deny")


def opt_out_rule(candidate: Candidate, policy: Document, at: int) -> Iterator[Refusal]:
    if candidate.cls == "transactional":
        return
    topic, values = candidate.campaign.get("topic"), candidate.person.values
    required = any(each["key"] == topic and each.get("required") for each in policy.get("topics", []))
    choices = values.get("opt_outs") or []
    here = {"channel": candidate.channel}
    paused = optional_instant(values.get("paused_until"))
    switched = {
        "opted_out_all": not required and {"all": True} in choices,
        "opted_out_class": not required and {"class": candidate.cls} in choices,
        "opted_out_channel": here in choices,
        "opted_out_topic": not required and ({"topic": topic} in choices or {**here, "topic": topic} in choices),
        "paused": not required and paused is not None and paused > at,
    }
    for reason, is_off in switched.items():
        if is_off:
            yield Refusal("opt_out", reason, "deny")
            return


def hold_rule(candidate: Candidate, stops: list[Document], at: int) -> Iterator[Refusal]:
    values = candidate.person.values
    traits = values.get("traits") or {}
    for stop in sorted(stops, key=lambda each: str(each["key"])):
        scope = stop.get("scope") or {}
        until = optional_instant(stop.get("until"))
        wanted = scope.get("trait") or {}
        if (
            not concerns(scope, candidate)
            or scope.get("region") not in (None, values.get("country"))
            or not all(name in traits and same(traits[name], value) for name, value in wanted.items())
            or not (instant(stop["from"]) <= at and (until is None or at < until))
        ):
            continue
        if stop["mode"] == "drop":
            yield Refusal("hold", "hold_drop", "deny", stop["key"])
        else:
            yield Refusal("hold", "incident_hold", "park" if until is None else "defer", stop["key"], until or 0)


def quiet_zones(candidate: Candidate, policy: Document) -> tuple[str, ...]:
    """Every zone whose clocks must be outside the window."""
    values = candidate.person.values
    if values.get("zone"):
        return (values["zone"],)
    return zones_of_country(values.get("country") or "") or tuple(policy.get("unknown_zones") or [policy["zone"]])


def is_quiet(windows: list[Document], zone: str, at: int) -> bool:
    """Whether the zone's wall time lies in a window."""
    wall = local(at, zone)
    seconds = timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
    today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[wall.weekday() - 1]
    for window in windows:
        days = window.get("days") or WEEKDAYS
        start, end = (timedelta(minutes=minutes_of(window[name])) for name in ("from", "to"))
        if start < end and today in days and start <= seconds < end:
            return True
        if start > end and ((today in days and start <= seconds) or (yesterday in days and seconds < end)):
            return True
    return False


def quiet_until(windows: list[Document], zones: tuple[str, ...], at: int) -> int:
    """The first instant after `at` that is not quiet: where a window ends, or where clocks change."""
    for days in (2, 10, 40, 370):
        candidates = set[int]()
        for zone in zones:
            today = local(at, zone).date()
            ends = [minutes_of(window["to"]) for window in windows]
            dates = [today + timedelta(days=each) for each in range(-1, days)]
            candidates.update(each for day in dates for end in ends for each in instants_of(day, end, zone))
            candidates.update(changes_between(at, at + days * DAY, zone))
        for each in sorted(candidates):
            if each > at and not any(is_quiet(windows, zone, each) for zone in zones):
                return each
    return FOREVER


def quiet_rule(candidate: Candidate, policy: Document, at: int) -> Iterator[Refusal]:
    in_force = [each for each in live_rules(policy, "quiet_hours") if concerns(each.get("scope") or {}, candidate)]
    rules = [(each["id"], [each]) for each in in_force]
    own = candidate.person.values.get("quiet_hours") or []
    if own and candidate.cls != "transactional":
        rules.append(("customer-quiet-hours", own))
    zones = quiet_zones(candidate, policy)
    for rule_id, windows in rules:
        if any(is_quiet(windows, zone, at) for zone in zones):
            yield Refusal("quiet_hours", "quiet_hours", "defer", rule_id, quiet_until(windows, zones, at))


def live_rules(policy: Document, name: str) -> list[Document]:
    """The policy's rules of one kind that decide: those in shadow do not."""
    return [each for each in policy.get(name, []) if each["id"] not in policy.get("shadow", [])]


def holdout_rule(candidate: Candidate, policy: Document) -> Iterator[Refusal]:
    customer, campaign = candidate.person.customer, candidate.campaign
    groups = []
    if candidate.cls != "transactional":
        groups.append((campaign.get("holdout", 0), f"campaign:{campaign['key']}:{customer}"))
    everybody = policy.get("holdout")
    if candidate.cls == "marketing" and everybody:
        groups.append((everybody["percent"], f"global:{everybody['salt']}:{customer}"))
    for percent, key in groups:
        share = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10000
        if share < Fraction(str(percent)) * 100:
            yield Refusal("holdout", "holdout", "deny")
            return

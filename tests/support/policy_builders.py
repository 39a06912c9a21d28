"""Builders of policies, campaigns, facts and ledgers for tests of the policy package. Times are UTC texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

import schemas.campaign
import schemas.policy
from schemas.decision import Verdict
from schemas.documents import validate_document
from schemas.event import Event
from schemas.facts import Address, Consent, FrequencyLimit, HoldFact, Preference, Suppressions
from schemas.ids import compute_message_id, hash_event
from schemas.permission import CLOCK_TOLERANCE
from schemas.times import Instant, parse_instant
from services.orchestrator.policy.candidate import AudienceCheck, Candidate, build_candidate
from services.orchestrator.policy.compiled_campaign import CompiledCampaign, CompiledCondition, compile_campaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact, ContactState, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.rules.definition import Rule
from services.orchestrator.policy.scope import MessageAttributes

NEWS = {"key": "news", "name": "News"}
ACCOUNT = {"key": "account", "name": "Your account", "required": True}
CONTENT = {
    "email": {"en": {"subject": "Hello", "html": "<p>Hello</p>"}},
    "push": {"en": {"title": "Hello", "body": "Hello"}},
    "sms": {"en": {"text": "Hello"}},
    "in_app": {"en": {"title": "Hello", "body": "Hello"}},
}


def at(text: str) -> Instant:
    """`02 10:00` is 10:00 UTC on 2 March 2026, a Monday; a full RFC 3339 text is itself."""
    if "T" in text:
        return parse_instant(text)
    day, clock = text.split()
    return parse_instant(f"2026-03-{day}T{clock if clock.count(':') == 2 else clock + ':00'}Z")


@dataclass(frozen=True)
class PlainCondition:
    """A condition that is a Python function of `customer.traits`."""

    holds: Callable[[Mapping[str, Any]], bool]

    def __call__(self, variables: Mapping[str, Any]) -> bool:
        return self.holds(variables["customer"]["traits"])

    def missing_variable(self, variables: Mapping[str, Any]) -> str | None:
        return None


def _raise_type_error(_: Mapping[str, Any]) -> bool:
    raise TypeError("text is not ordered against numbers")


vip = PlainCondition(lambda traits: traits.get("vip") is True)
broken = PlainCondition(_raise_type_error)


def condition(text: str) -> CompiledCondition:
    return {"vip": vip, "broken": broken}[text]


def policy(**fields: Any) -> CompiledPolicy:
    document = {"zone": "Etc/UTC", "topics": [NEWS, ACCOUNT], **fields}
    return compile_policy(validate_document(schemas.policy.Policy, document), 1)


def campaign(
    key: str = "offer",
    *,
    active: bool = True,
    cls: str = "marketing",
    traits: frozenset[str] = frozenset(),
    **fields: Any,
) -> CompiledCampaign:
    document = {
        "key": key,
        "name": key,
        "owner": "growth",
        "class": cls,
        "intent": "advertise",
        "topic": "news",
        "trigger": {"event": f"shop.{key}"},
        "channels": ["email"],
        "default_locale": "en",
        **fields,
    }
    document["content"] = {channel: CONTENT[channel] for channel in document["channels"]}
    return compile_campaign(validate_document(schemas.campaign.Campaign, document), 1, active, condition, traits=traits)


def event(time: str = "02 10:00", id: str = "e-1", expires: str | None = None, type: str = "shop.offer") -> Event:
    expiry = None if expires is None else at(expires)
    return Event(id=id, source="/shop", type=type, subject="c-1", time=at(time), expirytime=expiry)


def touch(
    of: CompiledCampaign | None = None, when: Event | None = None, since: str | None = None, **fields: Any
) -> TriggeredCampaign:
    of = of or campaign()
    seniority = None if since is None else at(since)
    return TriggeredCampaign(when or event(), {}, of, first_planned=seniority, **{"channels": of.channels, **fields})


GRANTED = tuple(Consent(channel, "*", "granted", 0) for channel in ("email", "push", "sms", "in_app"))
REACHABLE = tuple(Address(channel, f"c-1 by {channel}", True) for channel in ("email", "push", "sms"))


def preference(
    traits: Mapping[str, Any] | None = None, wish: tuple[int, str] | None = None, **fields: Any
) -> Preference:
    known: dict[str, Any] = {"zone": "Etc/UTC", "addresses": REACHABLE, "consent": GRANTED, **fields}
    frequency = None if wish is None else FrequencyLimit(*wish)
    return Preference("c-1", 1, traits=msgspec.json.encode(traits or {}), frequency=frequency, **known)


def facts(
    rules: CompiledPolicy | None = None,
    chosen: Preference | None = None,
    holds: tuple[HoldFact, ...] = (),
    configured: frozenset[str] = frozenset({"email", "push", "sms", "in_app"}),
    **against: Any,
) -> Facts:
    return Facts(chosen or preference(), Suppressions("c-1", 1, **against), holds, rules or policy(), configured)


def contact(
    time: str,
    *,
    of: CompiledCampaign | None = None,
    event_id: str = "",
    channel: str = "email",
    since: str | None = None,
    state: ContactState = "made",
    reported: bool = False,
) -> Contact:
    of, event_id = of or campaign("other"), event_id or f"e of {time}"
    name = compute_message_id("c-1", "/shop", event_id, of.key, channel)
    kind = MessageAttributes(of.key, of.topic, channel, of.cls, of.intent)
    first = at(since or time)
    return Contact(name, hash_event("/shop", event_id), kind, of.priority, at(time), first, state, reported)


def ledger(*contacts: Contact) -> Ledger:
    found = Ledger.empty()
    for each in contacts:
        found = found.put_contact(each)
    return found


def try_on(
    of: TriggeredCampaign,
    known: Facts | None = None,
    past: Ledger | None = None,
    channel: str = "email",
    marked: str | None = None,
) -> Candidate:
    known = known or facts()
    mark = None if marked is None else at(marked)
    return build_candidate(
        of,
        channel,
        known,
        Ledger.empty() if past is None else past,
        AudienceCheck(of, known),
        claimed_at=mark,
        clock_tolerance=CLOCK_TOLERANCE if mark else 0,
    )


def judged(rule: Rule, tried: Candidate, known: Facts | None = None, now: str = "02 10:00") -> list[Verdict]:
    return list(rule.evaluate(tried, known or facts(), at(now)))


def only(verdicts: list[Verdict]) -> tuple[str, str | None, str | None, Instant | None]:
    """Verdict, reason, id and until of a single verdict."""
    assert len(verdicts) == 1, verdicts
    each = verdicts[0]
    return each.verdict, each.reason, each.id, each.until


ALLOW = ("allow", None, None, None)

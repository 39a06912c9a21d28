"""The standard load: customers, campaigns, a policy of ten rules none of which binds, events that each match one.

BENCH_CUSTOMERS, BENCH_CAMPAIGNS and BENCH_CONTACTS (past contacts of each customer) in the environment change its size,
to see how the cost of an event grows with them: compare the ratios to the reference, which hardly change with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from schemas.facts import Address, Consent, Preference, SuppressionEntry
from schemas.ids import compute_message_id, hash_event
from schemas.times import DAY, HOUR, Instant, format_instant
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from services.preference.preference_state import PreferenceState
from services.suppression.suppression_state import CustomerEntry
from services.suppression.suppression_state import SuppressionState as Suppressed

CAMPAIGNS = int(os.environ.get("BENCH_CAMPAIGNS", "50"))
PAST_CONTACTS = int(os.environ.get("BENCH_CONTACTS", "8"))
"""Contacts of the last days that every customer's ledger holds at the start."""
SPACING = 9 * HOUR
"""Between two past contacts, so that not even many of them reach a cap."""
SUPPRESSED_EVERY = 20
"""Every so many customers have an entry that forbids mail; the load sends push, so it does not bind."""
SOURCE = "/bench/shop"
UNWANTED = "bench.page.viewed"
TEXT = (
    "Dear {{ customer.traits.name }}, your order {{ event.data.order }} over {{ event.data.total }} EUR is on its way. "
    "{% if event.data.express %}It comes by express.{% else %}It comes by standard post.{% endif %} "
    "It holds: {% for item in event.data.goods %}{{ item.count }} x {{ item.name }}; {% endfor %}"
)
FILLER = "We packed it with care and hope that everything in it will give you joy for a long time. "
LENGTH = 1_130
"""Characters of a template; the message it gives, with title, envelope and address, is about a kilobyte."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it: customers, turns, events of a turn ours and the reference's, seconds at half load."""

    name: str
    customers: int
    turns: int
    events: int
    reference_events: int
    unwanted: int
    seconds: float
    over_http: int
    reference_over_http: int


SIZES = {
    "ratio": Size("ratio", 5_000, 2, 6_000, 400, 2_000, 0.0, 0, 0),
    "quick": Size("quick", 20_000, 3, 10_000, 700, 40_000, 0.0, 0, 0),
    "standard": Size("standard", 100_000, 6, 20_000, 1_500, 100_000, 20.0, 10_000, 1_000),
    "full": Size("full", 1_000_000, 6, 50_000, 2_000, 200_000, 30.0, 20_000, 1_500),
}


def size() -> Size:
    """The size that the environment asks for: QUICK=1, FULL=1, or the standard."""
    name = "quick" if os.environ.get("QUICK") == "1" else "full" if os.environ.get("FULL") == "1" else "standard"
    return replace(SIZES[name], customers=int(os.environ.get("BENCH_CUSTOMERS", SIZES[name].customers)))


def event_type(number: int) -> str:
    """The event type that triggers a campaign."""
    return f"bench.order.kind{number % CAMPAIGNS:02d}"


def customer(number: int) -> str:
    """A customer's id."""
    return f"customer-{number:07d}"


def campaign(number: int) -> dict[str, Any]:
    """A campaign that sends one push message of about a kilobyte."""
    body = (TEXT + FILLER * 12)[:LENGTH]
    return {
        "key": f"bench-{number:02d}",
        "name": f"Bench {number}",
        "owner": "bench",
        "class": "marketing",
        "intent": "inform",
        "topic": "news",
        "priority": 50,
        "trigger": {"event": event_type(number), "when": "event.data.total >= 1.0"},
        "channels": ["push"],
        "default_locale": "en",
        "ttl": "1d",
        "reentry": "always",
        "content": {"push": {"en": {"title": "Your order {{ event.data.order }}", "body": body}}},
    }


def policy(now: Instant) -> dict[str, Any]:
    """Ten rules that concern every message and stop none. The silent hours lie half a day ahead."""
    hour = time.gmtime(now // 1_000_000).tm_hour
    silent = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    ahead = [f"{(hour + hours) % 24:02d}:00" for hours in (10, 12, 14)]
    marketing = {"classes": ["marketing"]}

    def cap(key: str, limit: int, window: Mapping[str, str], scope: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": key, "scope": scope, "limit": limit, "window": window, "on_exceed": "drop"}

    return {
        "zone": "Etc/UTC",
        "topics": [{"key": "news", "name": "News"}],
        "situations": [{"kind": "complaint", "opens": [{"event": "bench.complaint.filed"}], "lapses": "30d"}],
        "contact_history": [
            {"id": "after-complaint", "scope": marketing, "on_match": "drop",
             "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True}},
            {"id": "after-survey", "scope": marketing, "on_match": "drop",
             "never": {"after": {"contacts": {"intents": ["ask_feedback"]}}, "within": "1d"}},
        ],
        "frequency_caps": [
            cap("a-day", 40, {"rolling": "24h"}, marketing),
            cap("a-week", 60, {"rolling": "7d"}, marketing),
            cap("push-a-week", 60, {"calendar": "week", "zone": "customer"}, {"channels": ["push"]}),
            cap("news-a-month", 90, {"calendar": "month", "zone": "org"}, {"topics": ["news"]}),
        ],
        "min_gaps": [
            {"id": "breath", "scope": marketing, "gap": "1s"},
            {"id": "breath-of-push", "scope": {"channels": ["push"]}, "gap": "1s"},
        ],
        "quiet_hours": [
            {"id": "night", "scope": {"channels": ["push"]}, **silent, "from": ahead[0], "to": ahead[1]},
            {"id": "siesta", "scope": {"channels": ["push"]}, **silent, "from": ahead[1], "to": ahead[2]},
        ],
    }  # fmt: skip


def preference(number: int, now: Instant) -> PreferenceState:
    """A customer with an address, a zone, traits and consent."""
    name = customer(number)
    traits = msgspec.json.encode({"name": f"Name {number}", "segment": number % 7, "vip": number % 9 == 0})
    consent = Consent("push", "news", "granted", now - 90 * DAY, None, "checkout", "wording-3", "consent")
    addresses = (Address("push", f"device-{number:07d}", True), Address("email", f"c{number}@example.org", True))
    return PreferenceState(Preference(name, 1, "en", "DE", "Etc/UTC", traits, addresses, (consent,)))


def suppressed(number: int, now: Instant) -> Suppressed | None:
    """What speaks against mail to one customer in twenty."""
    if number % SUPPRESSED_EVERY:
        return None
    entry = SuppressionEntry("email", None, None, now - DAY, None, "hard_bounce", None)
    return Suppressed(customer(number), 1, (CustomerEntry(f"sup_{number}", entry),))


def past(now: Instant) -> Ledger:
    """The contacts of the last days. All customers share their ids: only their number and their times matter."""
    ledger = Ledger.empty()
    kind = MessageAttributes("bench-past", "news", "push", "marketing", "inform")
    for place in range(PAST_CONTACTS):
        at = now - (PAST_CONTACTS + 1 - place) * SPACING
        identity = compute_message_id("everyone", SOURCE, f"past-{place}", "bench-past", "push")
        ledger = ledger.put_contact(Contact(identity, hash_event(SOURCE, f"past-{place}"), kind, 50, at, at, "made"))
    return ledger


def event(number: int, customers: int, now: Instant, kind: str | None = None) -> tuple[bytes, bytes]:
    """Key and value of the record of an event; a customer's turn comes again when all others had theirs."""
    name = customer(number * 7_919 % customers)
    data = {
        "order": f"o-{number}",
        "total": 10.0 + number % 90,
        "express": number % 3 == 0,
        "goods": [{"name": f"chair {number % 11}", "count": 1 + number % 3}, {"name": "table", "count": 1}],
    }
    body = {
        "specversion": "1.0", "id": f"{kind or 'order'}-{number}", "source": SOURCE,
        "type": kind or event_type(number), "subject": name, "time": format_instant(now), "data": data,
    }  # fmt: skip
    return name.encode(), msgspec.json.encode(body)


def events(
    first: int, count: int, customers: int, now: Instant, kind: str | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """Consecutive events, all of the same time."""
    return (event(number, customers, now, kind) for number in range(first, first + count))

"""Generates a year of traffic of an imaginary shop from a seed: customers, suppressions, incidents and events.

It is the shop of `examples/`, so those campaigns and that policy fit. Traffic follows hour, weekday and season; few
customers cause most of it. Orders are shipped and delivered, support talks are closed, most complaints are resolved,
incidents happen about once a month, people opt out and return. Some events are duplicated or late. Only `Random.random`
is used, so equal sizes give equal bytes on every Python version; memory grows with pending events.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from schemas.times import DAY, HOUR, MINUTE, SECOND, Instant, format_instant, parse_instant

CUSTOMERS_FILE, SUPPRESSIONS_FILE, EVENTS_FILE = "customers.jsonl", "suppressions.jsonl", "events.jsonl"
COUNTRIES = (
    ("DE", "de-DE", "Europe/Berlin", 0.38),
    ("FR", "fr-FR", "Europe/Paris", 0.58),
    ("GB", "en-GB", "Europe/London", 0.78),
    ("PT", "pt-PT", "Europe/Lisbon", 0.86),
    ("US", "en-US", "America/New_York", 0.94),
    ("AU", "en-AU", "Australia/Sydney", 1.0),
)
"""Country, locale, zone, and the cumulative share of customers."""
WEIGHT_BY_HOUR = (3, 2, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 12, 11, 10, 10, 11, 12, 14, 15, 14, 11, 8, 5)
WEIGHT_BY_WEEKDAY = (10, 10, 10, 10, 11, 13, 12)
WEIGHT_BY_MONTH = (7, 8, 10, 12, 14, 13, 10, 9, 9, 9, 10, 12)
INCIDENT_LENGTH = 2 * HOUR
INCIDENT_SHARE = 0.3
INTERESTS = ("herbs", "trees", "roses", "tools")
OPT_OUTS: tuple[list[dict[str, str]], ...] = ([{"class": "marketing"}], [{"topic": "news"}], [{"channel": "sms"}], [])
CONSENT_AT: Instant = parse_instant("2024-03-01T10:00:00Z")
EPOCH_WEEKDAY = 3


@dataclass(frozen=True, slots=True)
class TrafficSize:
    """The amount of traffic and its seed. `start`: the first instant, a midnight; `days`: the duration."""

    customers: int = 100_000
    events: int = 5_000_000
    days: int = 365
    seed: int = 7
    start: Instant = parse_instant("2025-01-01T00:00:00Z")


class PendingEvent(NamedTuple):
    """A pending event: emitted at the first turn from `at` on. `number` orders events of equal time."""

    at: Instant
    number: int
    customer: int
    type: str
    data: dict[str, Any]


def write_traffic(folder: Path, size: TrafficSize, on_progress: Callable[[int], None] | None = None) -> None:
    """Writes the three files to the folder. The callback receives the number of events written since its last call."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (
        (CUSTOMERS_FILE, customer_lines(size)),
        (SUPPRESSIONS_FILE, suppression_lines(size)),
        (EVENTS_FILE, event_lines(size)),
    ):
        with (folder / name).open("wb") as file:
            for count, line in enumerate(lines, 1):
                file.write(line)
                if on_progress is not None and name == EVENTS_FILE and count % 1000 == 0:
                    on_progress(1000)


def customer_lines(size: TrafficSize) -> Iterator[bytes]:
    """Yields one customer document per line."""
    random = Random(f"{size.seed} customers").random  # noqa: S311 - a seed, not a secret
    for number in range(size.customers):
        share = random()
        country, locale, zone, _ = next(each for each in COUNTRIES if share <= each[3])
        document: dict[str, Any] = {
            "customer": _customer_id(number),
            "locale": locale,
            "country": country,
            "traits": {"name": f"Customer {number}", "interests": [INTERESTS[int(random() * 4)]]},
            "addresses": [
                {"channel": "email", "address": f"{_customer_id(number)}@example.org", "verified": random() < 0.97}
            ],
            "consent": [],
        }
        if random() < 0.9:
            document["zone"] = zone
        if random() < 0.5:
            document["addresses"].append({"channel": "sms", "address": f"+4915{number:08}", "verified": True})
        if random() < 0.4:
            document["addresses"].append({"channel": "push", "address": f"device-{number}", "verified": True})
        for topic, likely in (("news", 0.6), ("referrals", 0.5)):
            if random() < likely:
                document["consent"] += [_consent(channel, topic) for channel in ("email", "push")]
        if random() < 0.03:
            document["frequency"] = {"limit": 1, "per": "week"}
        if random() < 0.05:
            document["opt_outs"] = [{"class": "marketing"}]
        yield _json_line(document)


def suppression_lines(size: TrafficSize) -> Iterator[bytes]:
    """Yields one suppression or hold per line: bounced addresses, and marketing held during incidents."""
    random = Random(f"{size.seed} suppressions").random  # noqa: S311 - a seed, not a secret
    at = format_instant(size.start - 30 * DAY)
    for number in range(size.customers):
        share = random()
        if share < 0.008:
            reason = "hard_bounce" if share < 0.006 else "spam_complaint"
            fields = {"reason": reason, "source": "mail provider", "at": at}
            yield _json_line(
                {"address": f"{_customer_id(number)}@example.org", "scope": {"channel": "email"}, **fields}
            )
    for number, start in enumerate(incident_times(size)):
        span = {"from": format_instant(start), "until": format_instant(start + INCIDENT_LENGTH)}
        hold = {"key": f"incident-{number}", "mode": "defer", "scope": {"classes": ["marketing"]}}
        yield _json_line({**hold, **span, "reason": "incident"})


def incident_times(size: TrafficSize) -> list[Instant]:
    """Returns the instants at which incidents begin."""
    random = Random(f"{size.seed} incidents").random  # noqa: S311 - a seed, not a secret
    return [size.start + int((month + random()) * 30 * DAY) // MINUTE * MINUTE for month in range(-(-size.days // 30))]


def event_lines(size: TrafficSize) -> Iterator[bytes]:
    """Yields one CloudEvent per line, in order of arrival."""
    return EventGenerator(size).lines()


class EventGenerator:
    """Generates events turn by turn: what is due, otherwise something new."""

    def __init__(self, size: TrafficSize) -> None:
        self._size = size
        self._random = Random(f"{size.seed} events").random  # noqa: S311 - a seed, not a secret
        self._pending: list[PendingEvent] = []
        self._number = 0
        self._incidents = incident_times(size)

    def lines(self) -> Iterator[bytes]:
        """Yields the lines."""
        random = self._random
        for number, at in enumerate(self._event_times()):
            if self._pending and self._pending[0].at <= at:
                pending = heapq.heappop(self._pending)
                customer, type_, data = pending.customer, pending.type, pending.data
            else:
                busy = random()
                customer = int(self._size.customers * busy * busy)
                type_, data = self._new_event(customer, at)
            draw = random()
            line = _event_line(number, customer, type_, at - int(draw * 2e5) * SECOND if draw < 0.002 else at, data)
            yield line
            if draw > 0.999:
                yield line

    def _event_times(self) -> Iterator[Instant]:
        """Yields the instants of the turns in order, as many per hour as its weight demands."""
        hours = range(self._size.start, self._size.start + self._size.days * DAY, HOUR)
        whole = sum(map(_hour_weight, hours))
        claimed = made = 0
        for hour in hours:
            claimed += _hour_weight(hour)
            count = self._size.events * claimed // whole - made
            made += count
            yield from sorted(hour + int(self._random() * 3_600_000) * 1000 for _ in range(count))

    def _new_event(self, customer: int, at: Instant) -> tuple[str, dict[str, Any]]:
        random = self._random
        if any(start <= at < start + INCIDENT_LENGTH for start in self._incidents) and random() < INCIDENT_SHARE:
            return "shop.incident.declared", {"what": "Orders are slow."}
        draw = random()
        if draw < 0.72:
            return "shop.page.viewed", {"page": f"/plants/{int(random() * 900)}", "seconds": int(random() * 90)}
        if draw < 0.86:
            return "shop.cart.changed", {"items": 1 + int(random() * 5), "total": round(random() * 120, 2)}
        return self._business_event((draw - 0.86) / 0.14, customer, at)

    def _business_event(self, draw: float, customer: int, at: Instant) -> tuple[str, dict[str, Any]]:
        """Returns an event of the business: orders, support, complaints. `draw` is from 0 to below 1."""
        random = self._random
        self._number += 1
        ref = f"{self._number:08}"
        if draw < 0.42:
            shipped = at + int((0.3 + random() * 1.5) * DAY)
            delivered = shipped + int((0.7 + random() * 2) * DAY)
            self._schedule(shipped, customer, "shop.order.shipped", {"order": ref, "carrier": "DHL"})
            self._schedule(
                delivered, customer, "shop.order.delivered", {"order": ref, "total": round(random() * 120, 2)}
            )
            return "shop.order.placed", {"order": ref}
        if draw < 0.54:
            self._schedule(at + int(random() * 2 * DAY), customer, "shop.support.closed", {"talk": ref})
            return "shop.support.opened", {"talk": ref}
        if draw < 0.58:
            if random() < 0.9:
                self._schedule(at + int((1 + random() * 12) * DAY), customer, "shop.complaint.resolved", {"case": ref})
            return "shop.complaint.filed", {"case": ref}
        if draw < 0.8:
            return "shop.product.launched", {"product": f"Plant {ref[-3:]}", "about": INTERESTS[int(random() * 4)]}
        return self._feedback_event((draw - 0.8) / 0.2)

    def _feedback_event(self, draw: float) -> tuple[str, dict[str, Any]]:
        """Returns an event that customers or other tools report."""
        random = self._random
        if draw < 0.45:
            return "tactful.feedback.given", {"score": int(random() * 11)}
        if draw < 0.6:
            return "shop.payment.failed", {"total": round(random() * 120, 2)}
        if draw < 0.8:
            return "tactful.customer.identified", {"traits": {"points": int(random() * 1000)}}
        if draw < 0.9:
            return "tactful.contact.reported", {"channel": "email", "class": "marketing", "campaign": "old-newsletter"}
        return "tactful.preference.changed", {"opt_outs": OPT_OUTS[int(random() * len(OPT_OUTS))]}

    def _schedule(self, at: Instant, customer: int, type_: str, data: dict[str, Any]) -> None:
        heapq.heappush(self._pending, PendingEvent(at, self._number, customer, type_, data))


def _hour_weight(hour: Instant) -> int:
    """Returns the relative traffic of an hour."""
    day = hour // DAY
    return (
        WEIGHT_BY_HOUR[hour // HOUR % 24]
        * WEIGHT_BY_WEEKDAY[(day + EPOCH_WEEKDAY) % 7]
        * WEIGHT_BY_MONTH[day % 365 * 12 // 365]
    )


def _customer_id(number: int) -> str:
    return f"c-{number:06}"


def _consent(channel: str, topic: str) -> dict[str, str]:
    at = format_instant(CONSENT_AT)
    proof = {"source": "checkout", "wording": "newsletter-3", "basis": "consent"}
    return {"channel": channel, "topic": topic, "status": "granted", "at": at, **proof}


def _event_line(number: int, customer: int, type_: str, at: Instant, data: dict[str, Any]) -> bytes:
    return _json_line(
        {
            "specversion": "1.0",
            "id": f"e-{number}",
            "source": "/shop",
            "type": type_,
            "subject": _customer_id(customer),
            "time": format_instant(at),
            "data": data,
        }
    )


def _json_line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"

"""Generates the customers and events of an imaginary shop, pseudo-randomly from a seed.

No address exists: e-mail goes to example.org, and the telephone numbers are from ranges reserved for fiction. Customers
in a country without such a range have no numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

CONSENT_TIME = "2025-03-01T10:00:00Z"
"""When all customers gave their consent."""
INTERESTS = ("herbs", "trees", "roses", "bonsai")
PRODUCTS = {
    "herbs": "Twelve kinds of basil",
    "trees": "Pears for small gardens",
    "roses": "Climbing roses",
    "bonsai": "A first bonsai",
}
INCIDENT_TEXT = "Parcels of this week are two days late."


class Region(NamedTuple):
    """A country with its zones, locales, common names, and the phone number of its n-th customer."""

    country: str
    zones: tuple[str, ...]
    locales: tuple[str, ...]
    names: str
    phone_number: Callable[[int], str] | None = None


REGIONS = (
    Region("GB", ("Europe/London",), ("en-GB",), "Amelia Owen Priya Rhys Isla Callum", lambda n: f"+44770090{n:04}"),
    Region("DE", ("Europe/Berlin",), ("de-DE",), "Jana Felix Meike Emre Ronja", lambda n: f"+49171392{n % 100:04}"),
    Region("FR", ("Europe/Paris",), ("fr-FR",), "Camille Hugo Zoé Yanis Margot Léo", lambda n: f"+3363998{n:04}"),
    Region(
        "US",
        ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "Pacific/Honolulu"),
        ("en-US", "es-US"),
        "Grace Marcus Nia Diego Hannah Tyler",
        lambda n: f"+1202555{100 + n % 100:04}",
    ),
    Region(
        "CA",
        ("America/Toronto", "America/Vancouver", "America/St_Johns"),
        ("en-CA", "fr-CA"),
        "Noah Chloé Arjun Maëlle",
        lambda n: f"+1613555{100 + n % 100:04}",
    ),
    Region("SE", ("Europe/Stockholm",), ("sv-SE",), "Astrid Nils Saga Elias", lambda n: f"+467017406{5 + n % 95:02}"),
    Region("IT", ("Europe/Rome",), ("it-IT",), "Giulia Marco Elisa Pietro"),
    Region("ES", ("Europe/Madrid", "Atlantic/Canary"), ("es-ES", "ca-ES"), "Lucía Pablo Marta Jordi"),
    Region("PT", ("Europe/Lisbon",), ("pt-PT",), "Beatriz Tiago Leonor Rui"),
    Region("NL", ("Europe/Amsterdam",), ("nl-NL",), "Sanne Daan Fleur Bram"),
    Region("PL", ("Europe/Warsaw",), ("pl-PL",), "Zofia Kacper Maja Antoni"),
    Region("JP", ("Asia/Tokyo",), ("ja-JP",), "Yui Haruto Sakura Ren"),
    Region("IN", ("Asia/Kolkata",), ("en-IN", "hi-IN"), "Ananya Rohan Meera Vikram"),
    Region("BR", ("America/Sao_Paulo", "America/Manaus"), ("pt-BR",), "Larissa Caio Rafaela Thiago"),
    Region("NZ", ("Pacific/Auckland",), ("en-NZ",), "Aroha Liam Mere Jack"),
    Region("ZA", ("Africa/Johannesburg",), ("en-ZA", "af-ZA"), "Thandi Pieter Lerato Anke"),
)


def generate_customers(count: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Generate customer documents; the same ones for the same seed."""
    rng = Random(seed)  # noqa: S311 - a demo, not a secret
    for number in range(count):
        yield _generate_customer(rng, number)


def _generate_customer(rng: Random, number: int) -> dict[str, Any]:
    region = rng.choice(REGIONS)
    name = rng.choice(region.names.split())
    customer = f"c-{number + 1:03}"
    addresses = _generate_addresses(rng, region, customer, number)
    person: dict[str, Any] = {
        "customer": customer,
        "locale": rng.choice(region.locales),
        "country": region.country,
        "traits": {"name": name, "interests": sorted(rng.sample(INTERESTS, rng.randint(0, 2)))},
        "addresses": addresses,
        "consent": list(_generate_consent(rng, [each["channel"] for each in addresses])),
    }
    if rng.random() < 0.92:
        person["zone"] = rng.choice(region.zones)
    return person | _generate_preferences(rng)


def _generate_addresses(rng: Random, region: Region, customer: str, number: int) -> list[dict[str, Any]]:
    choices = [("email", f"{customer}@example.org", 0.95)]
    if region.phone_number is not None:
        choices.append(("sms", region.phone_number(number), 0.5))
    choices += [("push", f"device-of-{customer}", 0.4), ("in_app", customer, 0.5)]
    return [
        {"channel": channel, "address": address, "verified": rng.random() < 0.9}
        for channel, address, probability in choices
        if rng.random() < probability
    ]


def _generate_consent(rng: Random, channels: Sequence[str]) -> Iterator[dict[str, Any]]:
    for topic, probability in (("news", 0.7), ("referrals", 0.6)):
        if rng.random() < probability:
            for channel in channels:
                yield {
                    "channel": channel,
                    "topic": topic,
                    "status": "granted",
                    "at": CONSENT_TIME,
                    "source": "checkout",
                    "wording": "newsletter-3",
                    "basis": "consent",
                }


def _generate_preferences(rng: Random) -> dict[str, Any]:
    preferences: dict[str, Any] = {}
    if rng.random() < 0.12:
        preferences["opt_outs"] = [rng.choice(({"topic": "news"}, {"class": "marketing"}, {"channel": "sms"}))]
    if rng.random() < 0.08:
        preferences["frequency"] = {"limit": rng.randint(1, 2), "per": "week"}
    if rng.random() < 0.08:
        preferences["quiet_hours"] = [{"days": ["sat", "sun"], "from": "20:00", "to": "10:00"}]
    return preferences


class ShopEvent(NamedTuple):
    """An event of the shop before it becomes a CloudEvent."""

    customer: str
    event_type: str
    data: Mapping[str, Any]


class ShopEventGenerator:
    """Generates the events of the shop."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = Random(seed)  # noqa: S311 - a demo, not a secret
        self._last_order_number = 1000

    def opening_events(self, customers: Sequence[str]) -> list[ShopEvent]:
        """One event of each interesting kind for the first customers, a complaint before an ask included."""
        first, second, third, fourth, fifth = customers[:5]
        return [
            ShopEvent(first, "shop.order.shipped", self._order_data()),
            ShopEvent(second, "shop.payment.failed", self._order_data()),
            ShopEvent(third, "shop.complaint.filed", _case_data(third)),
            ShopEvent(third, "shop.order.delivered", {**self._order_data(), "total": 84.5}),
            ShopEvent(fourth, "shop.order.delivered", {**self._order_data(), "total": 120}),
            ShopEvent(fifth, "shop.support.closed", _case_data(fifth)),
        ]

    def next_event(self, customers: Sequence[str]) -> ShopEvent:
        """A random event about one of the customers."""
        customer = self._rng.choice(customers)
        choices = {
            "shop.order.shipped": (36, self._order_data),
            "shop.order.delivered": (25, self._order_data),
            "shop.product.launched": (10, self._product_data),
            "shop.payment.failed": (8, self._order_data),
            "shop.support.closed": (5, lambda: _case_data(customer)),
            "tactful.feedback.given": (3, lambda: {"score": self._rng.randint(0, 10)}),
            "shop.incident.declared": (1, lambda: {"what": INCIDENT_TEXT}),
            "shop.complaint.filed": (4, lambda: _case_data(customer)),
            "shop.complaint.resolved": (4, lambda: _case_data(customer)),
            "tactful.preference.changed": (4, self._opt_out_data),
        }
        (event_type,) = self._rng.choices(list(choices), [weight for weight, _ in choices.values()])
        return ShopEvent(customer, event_type, choices[event_type][1]())

    def _order_data(self) -> dict[str, Any]:
        self._last_order_number += 1
        return {
            "order": f"o-{self._last_order_number}",
            "carrier": "Postbote",
            "total": self._rng.randint(800, 18_000) / 100,
        }

    def _product_data(self) -> dict[str, Any]:
        interest = self._rng.choice(INTERESTS)
        return {"about": interest, "product": PRODUCTS[interest]}

    def _opt_out_data(self) -> dict[str, Any]:
        return {"opt_outs": self._rng.choice(([{"topic": "news"}], [{"class": "marketing"}], []))}


def _case_data(customer: str) -> dict[str, Any]:
    """Each customer has one case, which may be reopened."""
    return {"case": f"k-{customer}"}

"""The people and the events of an imaginary shop, made up by chance that a seed repeats.

No address can be reached: e-mail goes to example.org, and the telephone numbers are of ranges that are kept free for
stories. A country without such a range has no numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

GRANTED = "2025-03-01T10:00:00Z"
"""When everybody gave their consent."""
INTERESTS = ("herbs", "trees", "roses", "bonsai")
PRODUCTS = {
    "herbs": "Twelve kinds of basil",
    "trees": "Pears for small gardens",
    "roses": "Climbing roses",
    "bonsai": "A first bonsai",
}
DECLARED = "Parcels of this week are two days late."


class Region(NamedTuple):
    """A country, its zones and languages, names people have there, and a number for the n-th of them."""

    country: str
    zones: tuple[str, ...]
    locales: tuple[str, ...]
    names: str
    number: Callable[[int], str] | None = None


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


def people(count: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """This many customers, as documents; the same ones each time."""
    chance = Random(seed)  # noqa: S311 - a demo, not a secret
    for number in range(count):
        yield _person(chance, number)


def _person(chance: Random, number: int) -> dict[str, Any]:
    region = chance.choice(REGIONS)
    name = chance.choice(region.names.split())
    customer = f"c-{number + 1:03}"
    addresses = _addresses(chance, region, customer, number)
    person: dict[str, Any] = {
        "customer": customer,
        "locale": chance.choice(region.locales),
        "country": region.country,
        "traits": {"name": name, "interests": sorted(chance.sample(INTERESTS, chance.randint(0, 2)))},
        "addresses": addresses,
        "consent": list(_consent(chance, [each["channel"] for each in addresses])),
    }
    if chance.random() < 0.92:
        person["zone"] = chance.choice(region.zones)
    return person | _wishes(chance)


def _addresses(chance: Random, region: Region, customer: str, number: int) -> list[dict[str, Any]]:
    kinds = [("email", f"{customer}@example.org", 0.95)]
    if region.number is not None:
        kinds.append(("sms", region.number(number), 0.5))
    kinds += [("push", f"device-of-{customer}", 0.4), ("in_app", customer, 0.5)]
    return [
        {"channel": channel, "address": address, "verified": chance.random() < 0.9}
        for channel, address, share in kinds
        if chance.random() < share
    ]


def _consent(chance: Random, channels: Sequence[str]) -> Iterator[dict[str, Any]]:
    for topic, share in (("news", 0.7), ("referrals", 0.6)):
        if chance.random() < share:
            for channel in channels:
                yield {
                    "channel": channel,
                    "topic": topic,
                    "status": "granted",
                    "at": GRANTED,
                    "source": "checkout",
                    "wording": "newsletter-3",
                    "basis": "consent",
                }


def _wishes(chance: Random) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if chance.random() < 0.12:
        wishes["opt_outs"] = [chance.choice(({"topic": "news"}, {"class": "marketing"}, {"channel": "sms"}))]
    if chance.random() < 0.08:
        wishes["frequency"] = {"limit": chance.randint(1, 2), "per": "week"}
    if chance.random() < 0.08:
        wishes["quiet_hours"] = [{"days": ["sat", "sun"], "from": "20:00", "to": "10:00"}]
    return wishes


class Happening(NamedTuple):
    """What happened to a customer."""

    customer: str
    kind: str
    data: Mapping[str, Any]


class Days:
    """What happens in the shop, one thing after the other."""

    def __init__(self, seed: int = 7) -> None:
        self._chance = Random(seed)  # noqa: S311 - a demo, not a secret
        self._number = 1000

    def opening(self, customers: Sequence[str]) -> list[Happening]:
        """What has just happened to the first few customers: a little of everything, complaint and ask included."""
        first, second, third, fourth, fifth = customers[:5]
        return [
            Happening(first, "shop.order.shipped", self._order()),
            Happening(second, "shop.payment.failed", self._order()),
            Happening(third, "shop.complaint.filed", _case(third)),
            Happening(third, "shop.order.delivered", {**self._order(), "total": 84.5}),
            Happening(fourth, "shop.order.delivered", {**self._order(), "total": 120}),
            Happening(fifth, "shop.support.closed", _case(fifth)),
        ]

    def next(self, customers: Sequence[str]) -> Happening:
        """One thing that happens to one of the customers."""
        customer = self._chance.choice(customers)
        kinds = {
            "shop.order.shipped": (36, self._order),
            "shop.order.delivered": (25, self._order),
            "shop.product.launched": (10, self._product),
            "shop.payment.failed": (8, self._order),
            "shop.support.closed": (5, lambda: _case(customer)),
            "tactful.feedback.given": (3, lambda: {"score": self._chance.randint(0, 10)}),
            "shop.incident.declared": (1, lambda: {"what": DECLARED}),
            "shop.complaint.filed": (4, lambda: _case(customer)),
            "shop.complaint.resolved": (4, lambda: _case(customer)),
            "tactful.preference.changed": (4, self._wish),
        }
        (kind,) = self._chance.choices(list(kinds), [weight for weight, _ in kinds.values()])
        return Happening(customer, kind, kinds[kind][1]())

    def _order(self) -> dict[str, Any]:
        self._number += 1
        return {"order": f"o-{self._number}", "carrier": "Postbote", "total": self._chance.randint(800, 18_000) / 100}

    def _product(self) -> dict[str, Any]:
        about = self._chance.choice(INTERESTS)
        return {"about": about, "product": PRODUCTS[about]}

    def _wish(self) -> dict[str, Any]:
        return {"opt_outs": self._chance.choice(([{"topic": "news"}], [{"class": "marketing"}], []))}


def _case(customer: str) -> dict[str, Any]:
    """A customer has one case, which may be opened again."""
    return {"case": f"k-{customer}"}

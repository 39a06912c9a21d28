"""What happens in the installation whose databases are kept: documents, events, and what the provider answers.

Everything is said over HTTP, in forms that many versions know. A document that the version at hand refuses is left out:
the databases of each version hold what that version took, also what later ones refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Document = Mapping[str, Any]
Ask = Callable[..., bool]
"""Sends a request; False if it was refused and `may_be_refused` is set."""

NOW = "2026-11-20T12:00:00Z"
NEXT_DAY = "2026-11-21T13:00:00Z"
"""When messages of the first day have waited long enough for the cap."""

POLICY: Document = {
    "zone": "Europe/Berlin",
    "unknown_zones": ["Europe/Berlin"],
    "topics": [{"key": "news", "name": "News"}, {"key": "referrals", "name": "Referrals"}],
    "situations": [
        {
            "kind": "complaint",
            "opens": [{"event": "shop.complaint.filed"}],
            "closes": [{"event": "shop.complaint.resolved"}],
            "ref": "data.case",
            "lapses": "180d",
        }
    ],
    "contact_history": [
        {
            "id": "no-ask-after-complaint",
            "scope": {"intents": ["ask_referral"]},
            "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
            "on_match": "drop",
        }
    ],
    "frequency_caps": [
        {
            "id": "marketing-a-day",
            "scope": {"classes": ["marketing"]},
            "limit": 1,
            "window": {"rolling": "24h"},
            "on_exceed": "defer",
        }
    ],
    "quiet_hours": [
        {
            "id": "night",
            "scope": {"channels": ["sms"]},
            "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
            "from": "21:00",
            "to": "08:00",
        }
    ],
}


def consent(topic: str, channel: str = "email") -> dict[str, Any]:
    """A granted consent."""
    granted = {"status": "granted", "at": "2026-03-01T10:00:00Z", "source": "checkout", "wording": "news-3"}
    return {"channel": channel, "topic": topic, **granted}


def customer(name: str, *answers: str, **fields: Any) -> dict[str, Any]:
    """A customer whose device makes the provider answer so to each attempt: a status, status/Retry-After, or `hang`."""
    addresses = fields.pop("addresses", [])
    if answers:
        addresses = [*addresses, {"channel": "push", "address": f"{name}:{','.join(answers)}", "verified": True}]
    return {"customer": name, "country": "DE", "zone": "Europe/Berlin", **fields, "addresses": addresses}


def verified(channel: str, address: str) -> dict[str, Any]:
    """A verified address."""
    return {"channel": channel, "address": address, "verified": True}


CUSTOMERS: tuple[Document, ...] = (
    customer(
        "ada",
        "200",
        locale="en-GB",
        country="GB",
        zone="Europe/London",
        traits={"name": "Ada", "interests": ["herbs", "trees"], "orders": 3},
        addresses=[verified("email", "Ada@Example.org"), verified("sms", "+44 7700 900101")],
        consent=[consent("news"), consent("referrals"), consent("news", "sms")],
        channel_order=["email", "sms"],
    ),
    customer("rejected", "400"),
    customer("retry", "503/3600"),
    customer("retry-maybe", "500/3600"),
    customer("unknown", "500/60", "400"),
    customer("handing-over", "503/600", "hang"),
    customer("handing-over-maybe", "500/600", "hang"),
    customer("pending", "503/3600"),
    customer("pending-maybe", "500/3600"),
    customer("failed", "503"),
    customer("odd-locale", locale="de-12", addresses=[verified("email", "odd@example.org")], consent=[consent("*")]),
    customer("underscore", locale="de_AT", addresses=[verified("email", "austria@example.org")]),
    customer("local-zone", zone="localtime", country="ZZ", addresses=[verified("email", "local@example.org")]),
    customer("bad-text", traits={"note": "a\x00b"}, addresses=[verified("email", "text@example.org")]),
    customer("old-zone", zone="Asia/Calcutta", country="IN", addresses=[verified("email", "old@example.org")]),
    customer(
        "bob",
        addresses=[
            verified("sms", "0171 555"),
            verified("sms", "0171 5551234"),
            verified("email", "bob@shop.local"),
            verified("email", "bob@bücher.example"),
        ],
        consent=[consent("news"), consent("news", "sms")],
        opt_outs=[{"topic": "referrals"}, {"channel": "push"}],
        frequency={"limit": 2, "per": "week"},
        quiet_hours=[{"days": ["sat", "sun"], "from": "10:00", "to": "18:00"}],
    ),
    customer(
        "kim",
        addresses=[verified("email", "kim@example.org")],
        consent=[consent("news"), consent("referrals")],
        paused_until="2026-02-01T00:00:00Z",
    ),
    customer("lee", addresses=[verified("email", "lee@example.org")], consent=[consent("news"), consent("referrals")]),
    customer("mia", addresses=[verified("email", "mia@example.org")], consent=[consent("news"), consent("referrals")]),
    customer("nia", addresses=[verified("email", "nia@example.org")], consent=[consent("news")]),
    customer("zoe", addresses=[verified("email", "zoe@example.org")], opt_outs=[{"all": True}]),
)


def campaign(key: str, event: str, content: Document, **fields: Any) -> dict[str, Any]:
    """A campaign on the channels of its content."""
    return {
        "key": key,
        "name": key.replace("-", " ").capitalize(),
        "owner": "growth",
        "class": "service",
        "intent": "inform",
        "trigger": {"event": event},
        "channels": list(content),
        "default_locale": "en",
        "content": content,
        **fields,
    }


def email(subject: str = "News", html: str = '<p><a href="{{ links.unsubscribe }}">Stop</a></p>') -> dict[str, str]:
    """The content of an e-mail."""
    return {"subject": subject, "html": html}


def push(body: str, **fields: str) -> dict[str, str]:
    """The content of a push message."""
    return {"title": "Your order", "body": body, **fields}


NEWS: Document = {"class": "marketing", "intent": "advertise", "topic": "news"}
FALLBACK: Document = {"strategy": "fallback", "fallback_after": "2h"}
BOTH: Document = {"email": {"en": email()}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}

CAMPAIGNS: tuple[tuple[str, Document], ...] = (
    ("active", campaign("parcel", "shop.parcel.sent", {"push": {"en": push("Order {{ event.data.order }}")}})),
    ("active", campaign("receipt", "shop.paid", {"push": {"en": push("{{ event.data.total | round: 2 }} EUR")}})),
    (
        "active",
        campaign(
            "referral-ask",
            "shop.order.delivered",
            {"email": {"en": email('A favour, {{ customer.traits.name | default: "you" }}'), "de-DE": email("Bitte")}},
            **{"class": "marketing", "intent": "ask_referral", "topic": "referrals"},
            audience='"trees" in customer.traits.interests || event.data.total > 10',
            reentry="every 90d",
        ),
    ),
    ("active", campaign("product-news", "shop.product.added", {"email": {"en": email()}}, **NEWS, ttl="30d")),
    ("active", campaign("odd-locales", "shop.sale", {"email": {"en": email(), "de-12": email("Neu")}}, **NEWS)),
    (
        "active",
        campaign(
            "old-locale-form",
            "shop.visit",
            {"email": {"en_GB": email(), "de_AT": email("Neu")}},
            default_locale="en_GB",
        ),
    ),
    ("active", campaign("fallback-active", "shop.alert", BOTH, **NEWS, **FALLBACK)),
    ("approved", campaign("fallback-approved", "shop.alert", BOTH, **NEWS, **FALLBACK)),
    ("submitted", campaign("fallback-submitted", "shop.alert", BOTH, **NEWS, **FALLBACK)),
    ("draft", campaign("fallback-draft", "shop.alert", BOTH, **NEWS, **FALLBACK)),
    ("paused", campaign("fallback-paused", "shop.seen", BOTH, **NEWS, **FALLBACK)),
    ("draft", campaign("odd-locales-draft", "shop.sale", {"email": {"en": email(), "de-12": email("Neu")}}, **NEWS)),
    (
        "active",
        campaign(
            "misspelt",
            "shop.counted",
            {"email": {"en": email(html="<p>{{ customer.nam }} {{ campaign.nam }}</p>")}},
            audience="event.data.total > '9'",
        ),
    ),
    ("approved", campaign("newline", "shop.seen", {"email": {"en": email("Order\n{{ event.data.order }}")}})),
    (
        "active",
        campaign("app-link", "shop.seen", {"push": {"en": push("Look", link="myapp://{{ event.data.order }}")}}),
    ),
    ("draft", campaign("odd-audience", "shop.seen", {"push": {"en": push("Look")}}, audience="customer.traits.name")),
    ("stopped", campaign("stopped", "shop.seen", {"push": {"en": push("Look")}})),
    ("shadow", campaign("shadowed", "shop.paid", {"push": {"en": push("Order")}})),
)
"""Status to reach, and the document."""

_STEPS: Mapping[str, tuple[str, ...]] = {
    "draft": (),
    "submitted": ("submit",),
    "approved": ("submit", "approve"),
    "active": ("submit", "approve", "activate"),
    "paused": ("submit", "approve", "activate", "pause"),
    "stopped": ("submit", "approve", "activate", "stop"),
    "shadow": ("submit", "approve", "shadow"),
}

SUPPRESSIONS: tuple[Document, ...] = (
    {"address": "+447700900101", "scope": {"channel": "sms"}, "expires": "2027-06-01T00:00:00Z"},
    {"address": "+44 7700 900101", "scope": {"channel": "sms"}},
    {"address": "+44 (0)7700 900101", "scope": {"channel": "sms", "classes": ["marketing"]}},
    {"address": "0171 5551234", "scope": {"channel": "sms"}},
    {"address": "Mia@Example.org", "scope": {"channel": "email", "topic": "referrals"}},
    {"address": "mia@example.org", "scope": {}},
    {"address": "bob@bücher.example", "scope": {"channel": "email"}},
    {"address": "bob@xn--bcher-kva.example", "scope": {"channel": "email", "classes": ["marketing"]}},
    {"address": "not a number", "scope": {"channel": "sms"}},
    {"address": "device-of-nobody", "scope": {"channel": "push"}},
    {"customer": "nia", "scope": {"channel": "sms", "classes": ["marketing"]}},
)

HOLDS: tuple[Document, ...] = (
    {"key": "incident-1", "mode": "defer", "scope": {"campaigns": ["product-news"]}},
    {"key": "kill-switch", "mode": "drop", "scope": {"channels": ["in_app"]}},
    {"key": "region", "mode": "defer", "scope": {"region": "PT", "trait": {"vip": True}}},
    {"key": "over", "mode": "defer", "scope": {"topics": ["news"], "channels": ["sms"]}},
)


def set_up(ask: Ask) -> None:
    """Documents, until everything has the status that it shall have."""
    ask("PUT", "/v1/policy", POLICY)
    for step in ("submit", "approve", "activate"):
        ask("POST", f"/v1/policy/versions/1/{step}")
    ask("PUT", "/v1/policy", {**POLICY, "week_start": "sunday"})
    for status, document in CAMPAIGNS:
        if ask("PUT", f"/v1/campaigns/{document['key']}", document, may_be_refused=True):
            for step in _STEPS[status]:
                ask("POST", f"/v1/campaigns/{document['key']}/{step}")
    ask("PUT", "/v1/campaigns/parcel", {**CAMPAIGNS[0][1], "priority": 60})
    for document in CUSTOMERS:
        ask("PUT", f"/v1/preferences/{document['customer']}", document, may_be_refused=True)
    for document in SUPPRESSIONS:
        body = {"reason": "legal", "source": "desk", "at": "2026-05-01T00:00:00Z", **document}
        ask("POST", "/v1/suppressions", body, may_be_refused=True)
    for document in HOLDS:
        ask("POST", "/v1/holds", {"from": NOW, "reason": "INC-1: the gateway loses texts", **document})
    ask("POST", "/v1/holds/over/lift", {"reason": "INC-1 is over", "rate": 20})
    ask("POST", "/v1/keys", {"name": "shop", "role": "publisher"})


def sender(ask: Ask, now: str) -> Callable[..., None]:
    """Sends events of the shop at an instant."""

    def send(id: str, type: str, customer: str, may_be_refused: bool = False, **data: Any) -> None:
        event = {"specversion": "1.0", "id": id, "source": "/shop", "type": type, "subject": customer, "time": now}
        ask("POST", "/v1/events?wait=20s", {**event, "data": data}, may_be_refused=may_be_refused)

    return send


def send_events(ask: Ask) -> None:
    """Events from which messages, situations and dead letters come."""
    send = sender(ask, NOW)
    send("paid-ada", "shop.paid", "ada", total=20.125)
    for name in ("ada", "mia", "kim"):
        send(f"delivered-{name}", "shop.order.delivered", name, total=80)
    for name in ("ada", "bob"):
        send(f"added-{name}", "shop.product.added", name, product="basil")  # held back
    for name in ("kim", "odd-locale"):
        send(f"sale-{name}", "shop.sale", name, percent=10)  # one waits for the cap
    send("visit-underscore", "shop.visit", "underscore", order="A-1")
    send("counted-ada", "shop.counted", "ada", total=12)
    send("alert-ada", "shop.alert", "ada")
    send("complaint-1", "shop.complaint.filed", "mia", case="C-1")
    send("complaint-2", "shop.complaint.filed", "lee", case="C-2")
    send("resolved-2", "shop.complaint.resolved", "lee", case="C-2")
    send("moved", "tactful.customer.identified", "bob", locale="de-DE", traits={"name": "Bob"})
    send("contact-1", "tactful.contact.reported", "ada", channel="sms", **{"class": "marketing"}, topic="news")
    send("feedback-1", "tactful.feedback.given", "ada", score=9)
    send("erased", "tactful.customer.erased", "zoe")


def opt_out(ask: Ask) -> None:
    """A customer who waits for a message wants none any more."""
    document = next(each for each in CUSTOMERS if each["customer"] == "kim")
    ask("PUT", "/v1/preferences/kim", {**document, "opt_outs": [{"all": True}]})


def send_bad_events(ask: Ask) -> None:
    """On the next day: events that are dead-lettered, some of which may have been refusals."""
    send = sender(ask, NEXT_DAY)
    send("bad-zone", "tactful.customer.identified", "nia", may_be_refused=True, zone="Berln", traits={"name": "Nia"})
    send("empty", "tactful.preference.changed", "mia", may_be_refused=True)
    send("refusal", "tactful.preference.changed", "bob", may_be_refused=True, opt_outs="all of them")
    send("bad-channel", "tactful.contact.reported", "lee", may_be_refused=True, channel="pigeon")


def send_parcels(ask: Ask) -> None:
    """On the next day: messages that end in every way, and some that have not ended."""
    send = sender(ask, NEXT_DAY)
    for document in CUSTOMERS:
        if any(address["channel"] == "push" for address in document["addresses"]):
            send(f"parcel-{document['customer']}", "shop.parcel.sent", document["customer"], order="A-1", total=84.5)
    for number in (1, 2):
        send(f"sale-lee-{number}", "shop.sale", "lee", percent=20)  # the second one waits for the cap


POISON: tuple[tuple[bytes | None, bytes | None], ...] = (
    (b"underscore", b"not even JSON"),
    (
        b"old-zone",
        b'{"specversion":"1.0","id":"p-1","source":"/shop","type":"shop.sale","subject":"old-zone","time":"yesterday"}',
    ),
    (b"\xff\xfe", b"{"),
    (None, None),
    (b"kim", b'{"specversion":"1.0","id":"p-2","source":"/shop","type":"tactful.preference.changed","subject":"kim"}'),
)
"""Records that somebody else wrote into the log: key and value."""

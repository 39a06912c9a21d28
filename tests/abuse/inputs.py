"""What is sent: hostile documents, events, requests and connections, each small enough to be let in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

UNSUBSCRIBE = '<a href="{{ links.unsubscribe }}">Stop</a>'
GOOD_SOURCE = "/abuse/shop"
"""Of the good events, all of which must be decided."""
NUMBERS = list(range(20_000))


class Request(NamedTuple):
    """A request with a key, or without one. `body`: JSON values, or bytes as they are."""

    name: str
    method: str
    path: str
    body: Any = None
    media_type: str = "application/json"
    key: str = "admin"


def campaign(name: str, channel: str, fields: dict[str, str], **parts: Any) -> dict[str, Any]:
    """A campaign whose content is the attack."""
    return {
        "key": f"abuse-{name}",
        "name": "Abuse",
        "owner": "abuse",
        "class": "service",
        "intent": "inform",
        "trigger": {"event": "abuse.event"},
        "channels": [channel],
        "default_locale": "en",
        "content": {channel: {"en": fields}},
        **parts,
    }


def mail(body: str, field: str = "html") -> dict[str, str]:
    """The fields of an e-mail with this body."""
    return {"subject": "s", field: body}


def page(inside: str) -> str:
    """MJML around a text."""
    text = f"<mj-section><mj-column><mj-text>{inside}</mj-text></mj-column></mj-section>"
    return f"<mjml><mj-body>{text}</mj-body></mjml>"


TEMPLATES = {
    "openings": "{{" * 8000,
    "comments": "{% comment %}{{" * 1500,
    "raw": "{% raw %}" + "{{" * 8000 + "{% endraw %}",
    "paths": "{{ event.data" + ".a" * 4000 + " }}",
    "blanks": "{{" + " " * 60_000 + "}}",
    "parentheses": "{{ " + "(" * 1990 + " }}",
    "loops": "{% for a in (1..99) %}{% for b in (1..99) %}{% if a == b %}x{% endif %}{% endfor %}{% endfor %}" * 20,
    "styles": "<style>" + "".join(f"p{{--a{n}:1}}" for n in range(1300)) + "</style>" + "<p>x</p>" * 400,
    "many styles": "<style>" + "p{color:red}" * 4000 + "</style>" + "<p>x</p>" * 1000,
    "open comments": "<!--" * 16_000,
}
DEEP = {name: page(f"<{name}>" * 8_000 + f"</{name}>" * 8_000) for name in ("_a", ":a", "é", "MJ-INCLUDE", "a")}
CONDITIONS = {
    "a map at each step": "event.data.l.all(x, size(event.data.m) > 0)",
    "keys at each step": "event.data.l.all(x, event.data.m.exists(y, true))",
    "lists": " || ".join(["'a' in event.data.l"] * 100),
    "two lists": "event.data.l == event.data.l",
    "a number": "double(event.data.t) > 1.0",
    "a pattern": "event.data.t.matches('(1+)+y')",
}
BAD_TEXTS = ("a\x00b", "\x00", "a\u202eb", "%", "../../etc/passwd", "x" * 3000, "'; DROP TABLE message; --")


def documents() -> Iterator[Request]:
    """Campaigns that are refused, or saved within their time."""
    for name, source in TEMPLATES.items():
        yield Request(name, "PUT", "/v1/campaigns/abuse-template", campaign("template", "email", mail(source)))
        preview = {"campaign": campaign("template", "email", mail(source)), "customer": "x", "sample": {}}
        yield Request(f"preview of {name}", "POST", "/v1/preview", preview)
    for name, source in DEEP.items():
        document = campaign("template", "email", mail(source, "mjml"))
        yield Request(f"deep {name}", "PUT", "/v1/campaigns/abuse-template", document)
    locales = {f"en-{number}": {"title": "x", "body": TEMPLATES["loops"]} for number in range(100, 280)}
    many = campaign("locales", "in_app", {"title": "x", "body": "y"})
    many["content"]["in_app"].update(locales)
    yield Request("many locales", "PUT", "/v1/campaigns/abuse-locales", many)
    yaml = b"".join(b"k%d: v\n" % number for number in range(60_000))
    yield Request("flat YAML", "PUT", "/v1/campaigns/abuse-yaml", yaml, "application/yaml")
    yield Request("deep YAML", "PUT", "/v1/campaigns/abuse-yaml", b"[" * 100_000, "application/yaml")
    yield Request("deep JSON", "PUT", "/v1/campaigns/abuse-yaml", b"[" * 500_000)
    yield Request("a large number", "PUT", "/v1/campaigns/abuse-yaml", b'{"a":' + b"1" * 900_000 + b"}")


def texts() -> Iterator[Request]:
    """Odd text in every place of a request that takes some."""
    for text in BAD_TEXTS:
        quoted = quote(text, safe="")
        for path in ("/v1/decisions?customer={}", "/v1/messages?customer={}", "/v1/why?customer={}&campaign=x"):
            yield Request("odd query", "GET", path.format(quoted))
        for path in (
            "/v1/preferences/{}",
            "/v1/campaigns/{}",
            "/v1/messages/{}",
            "/v1/holds/{}",
            "/v1/customers/{}/timeline",
        ):
            yield Request("odd path", "GET", path.format(quoted))
        yield Request("odd reason", "POST", "/v1/campaigns/referral-ask/pause", {"reason": text})
        yield Request("odd name", "POST", "/v1/keys", {"name": text, "role": "viewer"})
    for body in (b'{"name": "\\ud800", "role": "viewer"}', b'{"name": "\\u0000", "role": "viewer"}', b"\xff\xfe{", b""):
        yield Request("odd bytes", "POST", "/v1/keys", body)


def strangers() -> Iterator[Request]:
    """Keys that nobody knows."""
    for number in range(200):
        yield Request("unknown key", "GET", "/v1/campaigns", key=f"tk_guess_{number}")


def events() -> Iterator[Request]:
    """Events that are hard to decide on, for the campaigns of `active_campaigns`."""
    large: dict[str, Any] = {"l": NUMBERS, "m": {f"k{number}": 1 for number in NUMBERS[:5000]}, "t": "1" * 20_000 + "x"}
    others: list[dict[str, Any]] = [{"x": "boom"}, {"x": "{{ 7 | times: 7 }}"}, {"pattern": "%c" * 10_000}]
    for number, data in enumerate([large, *others]):
        yield Request("hard event", "POST", "/v1/events", event(f"abuse-{number}", "abuse.event", data), _EVENT)
    fields = {f"field{number:05}": 1 for number in range(8_000)}
    unknown = event("abuse-fields", "tactful.preference.changed", fields)
    yield Request("unknown fields", "POST", "/v1/events", unknown, _EVENT)


def event(id: str, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """An event of now."""
    envelope = {"specversion": "1.0", "id": id, "source": "/abuse", "type": event_type, "subject": "ada"}
    return {**envelope, "time": datetime.now(UTC).isoformat(), "data": data}


def active_campaigns() -> Iterator[dict[str, Any]]:
    """Campaigns that can be saved, and show what they are only when an event comes."""
    for number, (_, condition) in enumerate(CONDITIONS.items()):
        trigger = {"event": "abuse.event", "when": condition}
        yield campaign(f"condition-{number}", "in_app", {"title": "x", "body": "y"}, trigger=trigger)
    wide = page('{% if event.data.x == "boom" %}' + "<b>x</b>" * 400 + "{% endif %} a")
    yield campaign("wide", "email", mail(wide, "mjml"))
    dated = "{% if event.data.pattern %}{{ 0 | date: event.data.pattern }}{% endif %}x"
    yield campaign("dated", "in_app", {"title": "x", "body": dated})


_EVENT = "application/cloudevents+json"

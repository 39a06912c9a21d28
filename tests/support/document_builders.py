"""Builders of documents for flow tests: policy, campaigns, customers and events of one shop, with defaults."""

from __future__ import annotations

from typing import Any

from schemas.times import format_instant, parse_instant

MONDAY = parse_instant("2026-03-02T10:00:00Z")
TOPICS = [{"key": "news", "name": "News"}, {"key": "account", "name": "Your account", "required": True}]
CAP = {"id": "one-a-day", "scope": {"classes": ["marketing"]}, "limit": 1, "window": {"rolling": "24h"}}


def policy(**parts: Any) -> dict[str, Any]:
    """A policy without rules but for the given parts."""
    return {"zone": "Etc/UTC", "topics": TOPICS, **parts}


def cap(on_exceed: str = "drop") -> dict[str, Any]:
    """One marketing message a day."""
    return {**CAP, "on_exceed": on_exceed}


def campaign(key: str = "offer", **changes: Any) -> dict[str, Any]:
    """A marketing campaign by e-mail, triggered by `shop.<key>`."""
    email = {"subject": "Hello {{ customer.traits.name }}", "html": '<p><a href="{{ links.unsubscribe }}">Stop</a></p>'}
    return {
        "key": key,
        "name": key.title(),
        "owner": "growth",
        "class": "marketing",
        "intent": "advertise",
        "topic": "news",
        "trigger": {"event": f"shop.{key}"},
        "channels": ["email"],
        "default_locale": "en",
        "content": {"email": {"en": email}},
        **changes,
    }


def customer(key: str = "c-1", **changes: Any) -> dict[str, Any]:
    """A customer who may be written to by e-mail."""
    granted = {"topic": "news", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "checkout"}
    return {
        "customer": key,
        "locale": "en",
        "zone": "Etc/UTC",
        "traits": {"name": "Ada"},
        "addresses": [{"channel": "email", "address": f"{key}@example.org", "verified": True}],
        "consent": [{"channel": "email", "wording": "newsletter-3", **granted}],
        **changes,
    }


def event(kind: str, id: str, time: int = MONDAY, subject: str = "c-1", **data: Any) -> dict[str, Any]:
    """An event of the shop."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/shop",
        "type": kind,
        "subject": subject,
        "time": format_instant(time),
        "data": data,
    }

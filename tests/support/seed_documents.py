"""Policy, campaigns and customers of the fault tests, and the client that registers and approves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.service_processes import ADMIN_KEY

TRACKED, DELIVERED, NEWS = "shop.order.shipped", "shop.order.delivered", "shop.news.published"
COMPLAINED = "shop.complaint.filed"
TEXTED = "shop.news.texted"
"""Sends the news as a text message, to the number of `with_phone`."""
CAP = 2
"""News a customer may get in an hour."""
GAP = 8
"""Seconds between two asks; the second one is planned."""

POLICY: Mapping[str, Any] = {
    "zone": "Europe/Berlin",
    "topics": [{"key": "news", "name": "News"}, {"key": "referrals", "name": "Referrals"}],
    "situations": [
        {"kind": "complaint", "opens": [{"event": COMPLAINED}], "closes": [{"event": "shop.complaint.resolved"}],
         "lapses": "180d"}
    ],
    "contact_history": [
        {"id": "no-ask-after-complaint", "scope": {"intents": ["ask_referral"]}, "on_match": "drop",
         "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True}}
    ],
    "frequency_caps": [
        {"id": "news-an-hour", "scope": {"topics": ["news"]}, "limit": CAP, "window": {"rolling": "1h"},
         "on_exceed": "drop"}
    ],
    "min_gaps": [{"id": "between-asks", "scope": {"intents": ["ask_referral"]}, "gap": f"{GAP}s"}],
}  # fmt: skip


def campaign(key: str, event: str, **more: Any) -> dict[str, Any]:
    """A campaign that sends one push message."""
    content = {"push": {"en": {"title": "Hello {{ customer.traits.name }}", "body": "This is {{ event.data.n }}."}}}
    fixed = {"key": key, "name": key, "owner": "tests", "trigger": {"event": event}, "channels": ["push"]}
    return {**fixed, "default_locale": "en", "ttl": "1h", "reentry": "always", "content": content, **more}


CAMPAIGNS = (
    campaign("order-shipped", TRACKED, **{"class": "transactional", "intent": "inform"}),
    campaign("referral-ask", DELIVERED, **{"class": "marketing", "intent": "ask_referral", "topic": "referrals"}),
    campaign("news", NEWS, **{"class": "marketing", "intent": "inform", "topic": "news"}),
    campaign("news-by-text", TEXTED, channels=["sms"], content={"sms": {"en": {"text": "News {{ event.data.n }}"}}},
             **{"class": "marketing", "intent": "inform", "topic": "news"}),
)  # fmt: skip


class Api:
    """The HTTP interface, as one person. Every answer that is not one of `expect` is an error."""

    def __init__(self, url: str, key: str = ADMIN_KEY) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, expect: tuple[int, ...] = (200, 201), **options: Any) -> httpx.Response:
        """One request."""
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=30, verify=False) as client:
            answer = client.request(method, path, **options)
        if answer.status_code not in expect:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer


def seed(orchestrator: str) -> None:
    """Register and launch policy and campaigns: one person writes, another approves; the admin makes their keys."""
    editor, second = (
        Api(orchestrator, Api(orchestrator).call("POST", "/v1/keys", json={"name": name, "role": role}).json()["key"])
        for name, role in (("first-person", "admin"), ("second-person", "approver"))
    )
    version = editor.call("PUT", "/v1/policy", json=POLICY).json()["version"]
    editor.call("POST", f"/v1/policy/versions/{version}/submit")
    second.call("POST", f"/v1/policy/versions/{version}/approve")
    second.call("POST", f"/v1/policy/versions/{version}/activate")
    for document in CAMPAIGNS:
        path = f"/v1/campaigns/{document['key']}"
        editor.call("PUT", path, json=document)
        editor.call("POST", f"{path}/submit")
        second.call("POST", f"{path}/approve")
        second.call("POST", f"{path}/activate")


def customer(name: str) -> dict[str, Any]:
    """The preferences of a customer who may be sent everything."""
    granted = {"channel": "push", "status": "granted", "at": "2025-03-01T10:00:00Z", "source": "checkout",
               "wording": "newsletter-3", "basis": "consent"}  # fmt: skip
    return {
        "zone": "Europe/Berlin",
        "locale": "en",
        "traits": {"name": name},
        "addresses": [{"channel": "push", "address": f"device-of-{name}", "verified": True}],
        "consent": [{**granted, "topic": "news"}, {**granted, "topic": "referrals"}],
    }


def phone_of(name: str) -> str:
    """A number of their own for everybody whose name ends with one."""
    return f"+49151{int(name.rpartition('-')[2]):08d}"


def with_phone(name: str) -> dict[str, Any]:
    """The changes that let a customer get the news as a text message."""
    granted = {"channel": "sms", "topic": "news", "status": "granted", "at": "2025-03-01T10:00:00Z",
               "source": "checkout", "wording": "newsletter-3", "basis": "consent"}  # fmt: skip
    addresses = customer(name)["addresses"] + [{"channel": "sms", "address": phone_of(name), "verified": True}]
    return {"addresses": addresses, "consent": [granted]}

"""Removal of do-not-contact entries in the running product: who is another person, and what a consent must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from schemas.times import HOUR, format_instant
from tests.support.document_builders import MONDAY, customer, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

LATER = MONDAY + HOUR
CONSENT = {
    "topic": "*",
    "channel": "email",
    "status": "granted",
    "source": "form",
    "wording": "v7",
    "at": format_instant(MONDAY + HOUR // 2),
}
ADA = {"channel": "email", "address": "ada@example.org", "verified": True}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    """A customer with a mailbox."""
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy())
        await running.customer(customer("c-1", addresses=[ADA]))
        yield running


async def make_key(product: Live, name: str, role: str, by: str | None = None) -> str:
    """A key, made by the administrator or with another key."""
    headers = {"Authorization": f"Bearer {by}"} if by else {}
    answer = await product.editor.post("/v1/keys", json={"name": name, "role": role}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def request_removal(product: Live, key: str, reason: str = "manual", **more: str) -> httpx.Response:
    """A new entry of the mailbox, and the request for its removal."""
    body = {"address": "ADA@example.org", "reason": reason, "scope": {"channel": "email"}}
    listed = await product.ask("POST", "/v1/suppressions", body)
    entry = listed["id"] or (await product.ask("POST", "/v1/suppressions/lookup", {"address": ADA["address"]}))["items"]
    entry = entry if isinstance(entry, str) else entry[0]["id"]
    headers = {"Authorization": f"Bearer {key}"}
    asked = {"reason": "a mistake", **more}
    return await product.editor.request("DELETE", f"/v1/suppressions/{entry}", json=asked, headers=headers)


async def approve(product: Live, request: httpx.Response, key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    path = f"/v1/suppressions/removals/{request.json()['id']}/approve"
    return await product.editor.post(path, headers=headers)


async def test_nobody_gets_round_the_second_person_by_keys(product: Live) -> None:
    alice = await make_key(product, "alice", "admin")
    bob = await make_key(product, "bob", "privacy")
    second = await make_key(product, "alice", "privacy", by=alice)
    puppet = await make_key(product, "puppet", "admin", by=alice)
    other_puppet = await make_key(product, "other-puppet", "privacy", by=puppet)
    request = await request_removal(product, alice)
    assert request.status_code == 202, request.text
    for key in (alice, second, puppet, other_puppet, None):  # None: the administrator, who made the key of alice
        refused = await approve(product, request, key)
        assert (refused.status_code, refused.json()["code"]) == (403, "own_removal")
    approved = await approve(product, request, bob)
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    of_puppet = await request_removal(product, other_puppet)
    assert (await approve(product, of_puppet, alice)).json()["code"] == "own_removal"
    assert (await approve(product, of_puppet, bob)).status_code == 200


@pytest.mark.parametrize(
    ("change", "is_enough"),
    [
        ({}, True),
        ({"topic": "news"}, True),
        ({"channel": "sms"}, False),
        ({"status": "denied"}, False),
        ({"at": format_instant(MONDAY - HOUR)}, False),
        ({"at": format_instant(LATER + HOUR)}, False),
        ({"expires": format_instant(LATER - 1_000_000)}, False),
    ],
)
async def test_a_complaint_is_removed_by_a_newer_consent_alone(
    product: Live, change: dict[str, str], is_enough: bool
) -> None:
    alice = await make_key(product, "alice", "privacy")
    assert (await request_removal(product, alice, "spam_complaint")).json()["code"] == "needs_new_consent"
    await product.at(LATER)
    saved = await product.editor.patch("/v1/preferences/c-1", json={"consent": [{**CONSENT, **change}]})
    if saved.status_code != 200:
        assert not is_enough, saved.text
        return
    asked = await request_removal(product, alice, "spam_complaint", consent_of="c-1")
    assert (asked.status_code == 202) is is_enough, asked.text


async def test_the_consent_of_somebody_without_the_address_is_none(product: Live) -> None:
    alice = await make_key(product, "alice", "privacy")
    await request_removal(product, alice, "stop_keyword")
    await product.at(LATER)
    await product.customer(customer("c-2", addresses=[{**ADA, "address": "bob@example.org"}], consent=[CONSENT]))
    refused = await request_removal(product, alice, "stop_keyword", consent_of="c-2")
    assert (refused.status_code, refused.json()["code"]) == (409, "needs_new_consent")

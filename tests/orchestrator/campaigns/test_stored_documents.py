"""Documents that this version of Tactful cannot use, as an earlier version may have left them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.times import parse_instant
from services.kit.bus.protocol import Outgoing
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

NOW = "2026-03-02T10:00:00Z"
POLICY = {"zone": "Europe/Berlin", "topics": [{"key": "news", "name": "News"}]}


def campaign(key: str, **fields: Any) -> dict[str, Any]:
    texts = {"push": {"en": {"title": "Hello", "body": "World"}}}
    document = {"key": key, "name": key, "owner": "me", "class": "service", "intent": "inform"}
    trigger = {"trigger": {"event": "shop.sale"}, "channels": ["push"], "default_locale": "en", "content": texts}
    return {**document, **trigger, **fields}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    """A customer and two active campaigns on one type of events."""
    async with live(tmp_path, parse_instant(NOW)) as running:
        await running.policy(POLICY)
        await running.campaign(campaign("good"))
        await running.campaign(campaign("bad"))
        address = {"channel": "push", "address": "device", "verified": True}
        await running.customer({"customer": "ada", "addresses": [address]})
        yield running


async def store(product: Live, table: str, version: int, document: dict[str, Any]) -> None:
    """Replace the document of a version, and have the catalogue read anew."""
    async with product.database.write() as tx:
        key = "" if table == "policy_version" else f"key = '{document['key']}' AND"
        await tx.execute(
            f"UPDATE {table} SET document = :document WHERE {key} version = :version",
            document=json.dumps(document),
            version=version,
        )
        await tx.execute("UPDATE catalogue_state SET version = version + 1")


def event(id: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": "shop.sale", "subject": "ada", "time": NOW}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"start": "2026-05-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}, "/end: `start` must be before `end`"),
        ({"audience": "customer.traits.name =="}, "line 1, column"),
        ({"content": {"push": {"en": {"title": "{{", "body": "x"}}}}, "line 1, column"),
    ],
)
async def test_a_campaign_that_cannot_be_used_stops_no_other_and_is_named(
    product: Live, changes: dict[str, Any], detail: str
) -> None:
    await store(product, "campaign_version", 1, campaign("bad", **changes))
    decided = await product.send(event("e-1"))
    assert [each["campaign"] for each in decided["decisions"]] == ["good"]
    for path in ("/v1/campaigns", "/v1/campaigns/bad", "/v1/campaigns/bad/versions/1"):
        await product.ask("GET", path)
    found = await product.ask("GET", "/v1/campaigns/bad/findings")
    assert found["usable"] is False and found["findings"][0]["severity"] == "error"
    why = await product.editor.get("/v1/why", params={"customer": "ada", "campaign": "bad"})
    preview = await product.editor.post("/v1/preview", json={"campaign": "bad", "customer": "ada"})
    for refused in (why, preview):
        assert refused.status_code == 409
        words = refused.json()["detail"]
        assert words.startswith("version 1 of `bad` was saved by an earlier version of Tactful and cannot be used")
        assert detail in words


async def test_events_wait_for_a_policy_that_can_be_used_and_nothing_ends(product: Live) -> None:
    await store(product, "policy_version", 1, {**POLICY, "zone": "localtime"})
    bus, topic = product.together.bus, product.together.settings.kafka.events_topic
    await bus.publish([Outgoing(topic, b"ada", json.dumps(event("e-1")).encode())])
    refused = await product.editor.post("/v1/events", json=event("e-2"))
    assert refused.status_code == 503 and refused.headers["retry-after"] == "2"
    unanswered = await product.editor.get("/v1/why", params={"customer": "ada", "campaign": "good"})
    assert unanswered.status_code == 503
    assert "version 1 of the policy is active" in unanswered.json()["detail"]
    assert "/zone: not a zone" in unanswered.json()["detail"]
    ready = await product.editor.get("/readyz", params={"verbose": "1"})
    assert ready.status_code == 200
    assert "PUT the mended policy, and activate it" in ready.json()["checks"]["policy"]["detail"]
    await product.policy(POLICY)
    await product.send(event("e-2"))
    found = await product.ask("GET", "/v1/events", params={"source": "/shop", "id": "e-1"})
    assert {each["campaign"] for each in found["decisions"]} == {"good", "bad"}
    assert (await product.ask("GET", "/v1/dead-letters"))["items"] == []


async def test_a_stored_policy_that_could_not_be_saved_today_is_not_activated(product: Live) -> None:
    version = (await product.ask("PUT", "/v1/policy", POLICY))["version"]
    await store(product, "policy_version", version, {**POLICY, "zone": "localtime"})
    refused = await product.editor.post(f"/v1/policy/versions/{version}/submit")
    assert refused.status_code == 422
    assert "version 2 of the policy could not be saved today, so the action `submit`" in refused.json()["detail"]
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/zone"]
    assert (await product.ask("GET", f"/v1/policy/versions/{version}"))["status"] == "draft"

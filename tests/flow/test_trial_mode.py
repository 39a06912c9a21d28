"""Trial mode: nothing reaches anybody who is not listed, and everybody is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.times import MINUTE, SECOND
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET, Receiver, serving

pytestmark = pytest.mark.wired


@asynccontextmanager
async def in_trial(tmp_path: Path, only_to: str) -> AsyncIterator[tuple[Live, Receiver]]:
    """The product, whose mails go to a receiver on this machine, if their recipients are listed."""
    receiver = Receiver()
    async with serving(receiver) as url:
        settings: dict[str, Any] = {
            "adapters": {"email": "webhook"},
            "webhook": {"url": url, "secret": SECRET, "only_to": only_to},
            "outbound": {"networks": "127.0.0.0/8"},
        }
        async with live(tmp_path, MONDAY, **settings) as product:
            await product.policy(policy(frequency_caps=[cap()]))
            await product.campaign(campaign())
            await product.customer(customer())
            await product.customer(customer("c-2"))
            yield product, receiver


async def test_who_is_not_listed_gets_nothing_and_the_message_says_why(tmp_path: Path) -> None:
    async with in_trial(tmp_path, "c-2") as (product, receiver):
        await product.send(event("shop.offer", "e-1"))
        await product.send(event("shop.offer", "e-2", subject="c-2"))
        await product.at(MONDAY + 10 * MINUTE)
        assert [headers["webhook-id"] for headers, _ in receiver.seen] == [
            message["message_id"]
            for message in (await product.ask("GET", "/v1/messages", params={"customer": "c-2"}))["items"]
        ]
        (kept_back,) = (await product.ask("GET", "/v1/messages", params={"customer": "c-1"}))["items"]
        assert (kept_back["status"], kept_back["detail"]) == ("failed", "trial_mode: not on the list of recipients")
        lines = [(line["outcome"], line["reason"]) for line in await product.decisions(customer="c-1")]
        assert lines == [("send", "eligible"), ("fail", "trial_mode")]
        assert (await product.ask("GET", "/v1/contacts/c-1"))["contacts"] == []
        assert [each["state"] for each in (await product.ask("GET", "/v1/contacts/c-2"))["contacts"]] == ["made"]


async def test_explanations_say_it_in_words(tmp_path: Path) -> None:
    async with in_trial(tmp_path, "c-2") as (product, _):
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + SECOND)
        told = await product.ask("GET", "/v1/why", params={"source": "/shop", "event": "e-1"})
        assert told["decisions"][-1]["sentence"] == (
            "The message failed: the adapter is in trial mode, and the recipient is not on its list."
        )
        told = await product.ask("GET", "/v1/why", params={"customer": "c-1", "campaign": "offer"})
        assert (told["outcome"], told["in_trial"]) == ("send", ["webhook"])


async def test_nothing_that_was_kept_back_comes_later_and_the_next_message_is_not_capped(tmp_path: Path) -> None:
    async with in_trial(tmp_path, "c-2") as (product, receiver):
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + SECOND)
        installed = product.together.orchestrator.components.adapters.by_name["webhook"]
        installed.trial = None  # type: ignore[attr-defined]  # as if the process had started without a list
        await product.at(MONDAY + 10 * MINUTE)
        assert receiver.seen == []
        await product.send(event("shop.offer", "e-2", MONDAY + 10 * MINUTE))
        await product.at(MONDAY + 11 * MINUTE)
        assert len(receiver.seen) == 1


async def test_a_test_message_is_kept_back_as_well(tmp_path: Path) -> None:
    async with in_trial(tmp_path, "*@team.example.org") as (product, receiver):
        body = {"to": "eve@example.org", "channel": "email"}
        kept_back = await product.ask("POST", "/v1/adapters/webhook/test", body)
        assert (kept_back["outcome"], kept_back["fault"], receiver.seen) == ("rejected", "trial", [])
        sent = await product.ask("POST", "/v1/adapters/webhook/test", {**body, "to": "eve@team.example.org"})
        assert (sent["outcome"], len(receiver.seen)) == ("accepted", 1)


async def test_it_is_shown_where_adapters_are_shown(tmp_path: Path) -> None:
    async with in_trial(tmp_path, "c-2, c-3") as (product, _):
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + SECOND)
        items = (await product.ask("GET", "/v1/adapters"))["items"]
        assert {item["name"]: item["trial_recipients"] for item in items} == {"webhook": 2, "sandbox": None}
        metrics = (await product.editor.get("/metrics")).text
        assert 'tactful_adapter_trial_recipients{adapter="webhook"} 2.0' in metrics
        assert 'tactful_adapter_trial_recipients{adapter="sandbox"} 0.0' in metrics
        (line,) = [line for line in metrics.splitlines() if 'fault="trial"' in line and 'adapter="webhook"' in line
                   and 'channel="email"' in line]  # fmt: skip
        assert line.endswith(" 1.0")

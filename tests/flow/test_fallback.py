"""Campaigns that fall back: one channel after the other, live with receipts of a provider and in `simulate`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverOutcome, Message
from schemas.times import HOUR, MINUTE, SECOND, format_instant
from services import simulation
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from services.orchestrator.delivery.attempts import backoff
from tests.flow.test_audit import audit
from tests.flow.test_delivery import Provider
from tests.flow.test_receipts import say, statement
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired

HALF_PAST = MONDAY + 30 * MINUTE
COMPARED = (
    "time",
    "message_id",
    "customer",
    "campaign",
    "channel",
    "outcome",
    "reason",
    "rule_id",
    "until",
    "verdicts",
)
CONTENT = {
    "push": {"en": {"title": "Hello", "body": "How are you?"}},
    "email": campaign()["content"]["email"],
    "sms": {"en": {"text": "Hello"}},
}
ADDRESSES = {"push": "token-of-ada", "email": "ada@example.org", "sms": "+4915112345678"}


def falling_back(*channels: str, **changes: Any) -> dict[str, Any]:
    """A campaign that tries these channels one after the other."""
    content = {each: CONTENT[each] for each in channels}
    strategy = {"strategy": "fallback", "fallback_after": "30m"}
    return campaign(**{"channels": list(channels), "content": content, "ttl": "1d", **strategy, **changes})


def somebody(*channels: str, **changes: Any) -> dict[str, Any]:
    """A customer who may be written to on these channels."""
    granted = {"topic": "news", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "checkout"}
    return customer(
        addresses=[{"channel": each, "address": ADDRESSES[each], "verified": True} for each in channels],
        consent=[{"channel": each, "wording": "newsletter-3", **granted} for each in channels],
        **changes,
    )


class Shop:
    """A product whose three channels have providers that give receipts: `taken` by channel, and what is decided."""

    def __init__(self, product: Live) -> None:
        self.product = product
        self.providers = {each: Provider() for each in CONTENT}
        for channel, provider in self.providers.items():
            product.together.orchestrator.components.adapters.by_name[f"by_{channel}"] = provider  # type: ignore[index]

    async def open(self, *channels: str, policy_parts: Any = None, who: Any = None, **changes: Any) -> None:
        await self.product.policy(policy(**(policy_parts or {})))
        await self.product.campaign(falling_back(*channels, **changes))
        await self.product.customer(who or somebody(*channels))

    async def happen(self, id: str = "e-1") -> None:
        await self.product.send(event("shop.offer", id, self.product.clock.now()))
        await self.product.settle()

    async def at(self, instant: int) -> None:
        """Come to this instant, and do what is due then."""
        await self.product.at(instant)
        await self.product.settle()

    def message(self, channel: str, index: int = 0) -> Message:
        return self.providers[channel].taken[index]

    def taken(self) -> list[str]:
        return [channel for channel, provider in self.providers.items() for _ in provider.taken]

    async def say(self, channel: str, kind: str, **fields: Any) -> None:
        """What the provider of the channel says about its last message, and what follows from that at once."""
        minutes = (self.product.clock.now() - MONDAY) // MINUTE
        answer = await say(self.product, statement(self.message(channel, -1).id, kind, minutes, **fields))
        assert answer.status_code == 200, answer.text
        await self.product.settle()

    async def lines(self) -> list[tuple[str, str, str, str]]:
        return [
            (each["time"][11:16], each["channel"], each["outcome"], each["reason"])
            for each in await self.product.decisions()
        ]

    async def last(self) -> tuple[str, str, str, str]:
        """The last decision that was made."""
        found = max(await self.product.decisions(), key=lambda each: each["decision_id"])
        return found["time"][11:16], found["channel"], found["outcome"], found["reason"]

    async def states(self) -> dict[str, str]:
        items = (await self.product.ask("GET", "/v1/messages"))["items"]
        return {each["channel"]: each["status"] for each in items}

    async def replays(self) -> list[bool | None]:
        found = []
        for each in await self.product.decisions():
            path = f"/v1/decisions/{each['decision_id']}?replay=true"
            found.append((await self.product.ask("GET", path))["replay"]["same"])
        return found


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    account = {"adapter": "webhook", "url": "https://example.com/", "secret": SECRET.get_secret_value()}
    own = {channel: f"by_{channel}" for channel in CONTENT}
    accounts = dict.fromkeys(own.values(), account)
    webhook = WebhookSettings(secret=SECRET)
    async with live(tmp_path, MONDAY, adapters=own, accounts=accounts, webhook=webhook) as product:
        yield Shop(product)


def simulated(
    directory: Path, documents: dict[str, Any], confirm_after: int | None, until: int
) -> list[dict[str, Any]]:
    """The lines of `tactful simulate` about one event."""
    (directory / "campaigns").mkdir()
    (directory / "campaigns" / "offer.json").write_text(json.dumps(documents["campaign"]))
    (directory / "policy.json").write_text(json.dumps(documents["policy"]))
    (directory / "customers.jsonl").write_text(json.dumps(documents["customer"]) + "\n")
    (directory / "suppressions.jsonl").write_text("")
    (directory / "events.jsonl").write_text(json.dumps(event("shop.offer", "e-1")) + "\n")
    files = simulation.SimulationFiles(
        directory / "campaigns",
        directory / "policy.json",
        directory / "customers.jsonl",
        directory / "suppressions.jsonl",
        directory / "events.jsonl",
        until,
        confirm_after=confirm_after,
    )
    simulation.simulate(files, directory / "out.jsonl", "full")
    return [json.loads(line) for line in (directory / "out.jsonl").read_text().splitlines()]


def same(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a live product and a simulation must agree about."""
    return [{name: line[name] for name in COMPARED} for line in lines]


TOLD_AFTER: dict[str, int | None] = {"never": None, "at once": 0, "in time": 10 * MINUTE, "too late": 45 * MINUTE}
WAITING = [
    ("10:00", "push", "send", "eligible"),
    *[("10:00", each, "defer", "fallback_wait") for each in ("email", "sms")],
]
AFTERWARDS: dict[str, list[tuple[str, str, str, str]]] = {
    "never": [
        ("10:30", "email", "send", "eligible"),
        ("10:30", "sms", "defer", "fallback_wait"),
        ("11:00", "sms", "send", "eligible"),
    ],
    "at once": [("10:00", each, "suppress", "other_channel") for each in ("email", "sms")],
    "in time": [("10:10", each, "suppress", "other_channel") for each in ("email", "sms")],
    "too late": [
        ("10:30", "email", "send", "eligible"),
        ("10:30", "sms", "defer", "fallback_wait"),
        ("10:45", "sms", "suppress", "other_channel"),
    ],
}


@pytest.mark.parametrize("told", TOLD_AFTER)
async def test_live_and_simulated_lines_are_the_same(shop: Shop, tmp_path: Path, told: str) -> None:
    channels, after = ("push", "email", "sms"), TOLD_AFTER[told]
    await shop.open(*channels)
    await shop.happen()
    if after is not None:
        await shop.at(MONDAY + after)
        await shop.say("push", "delivered")
    await shop.at(MONDAY + 5 * HOUR)
    expected = sorted([*WAITING, *AFTERWARDS[told]])
    assert sorted(await shop.lines()) == expected
    sent = [channel for _, channel, outcome, _ in expected if outcome == "send"]
    assert sorted(shop.taken()) == sorted(sent)
    documents = {"campaign": falling_back(*channels), "policy": policy(), "customer": somebody(*channels)}
    lines = simulated(tmp_path, documents, after, MONDAY + 5 * HOUR)
    assert same(lines) == same(await shop.product.decisions(trace="full"))
    assert set(await shop.replays()) == {True}


ENDS: dict[str, tuple[HandoverOutcome, dict[str, Any] | None]] = {
    "rejected": ("rejected", None),
    "a permanent bounce": ("accepted", {"kind": "bounced", "permanent": True}),
    "dropped by the provider": ("accepted", {"kind": "failed"}),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_next_channel_is_tried_at_once_when_the_first_is_certain_to_fail(shop: Shop, end: str) -> None:
    answer, receipt = ENDS[end]
    shop.providers["push"].answers = [answer]
    await shop.open("push", "email")
    await shop.happen()
    if receipt is not None:
        assert shop.taken() == ["push"]
        await shop.say("push", **receipt)
    assert shop.taken() == ["push", "email"]
    assert ("10:00", "email", "send", "eligible") in await shop.lines()
    assert set(await shop.replays()) <= {True, None}  # a provider's answer is not judged again
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == ["push", "email"]


NO_CONFIRMATION: dict[str, tuple[HandoverOutcome, dict[str, Any] | None]] = {
    "nobody knows": ("unknown", None),
    "a soft bounce": ("accepted", {"kind": "bounced"}),
}


@pytest.mark.parametrize("case", NO_CONFIRMATION)
async def test_what_is_neither_a_confirmation_nor_an_end_is_waited_out(shop: Shop, case: str) -> None:
    answer, receipt = NO_CONFIRMATION[case]
    provider = shop.providers["push"] = Provider(answer, idempotent=False)
    shop.product.together.orchestrator.components.adapters.by_name["by_push"] = provider  # type: ignore[index]
    await shop.open("push", "email")
    await shop.happen()
    if receipt is not None:
        await shop.say("push", **receipt)
    await shop.at(HALF_PAST - SECOND)
    assert shop.taken() == ["push"]
    await shop.at(HALF_PAST)
    assert shop.taken() == ["push", "email"]


@pytest.mark.parametrize("kind", ["opened", "clicked", "replied", "complained", "unsubscribed"])
async def test_whatever_shows_that_it_arrived_confirms_it(shop: Shop, kind: str) -> None:
    await shop.open("push", "email")
    await shop.happen()
    await shop.say("push", kind)
    await shop.at(MONDAY + HOUR)
    assert shop.taken() == ["push"]
    assert (await shop.last())[2] == "suppress"


async def test_a_message_that_is_tried_again_keeps_the_others_waiting_until_it_is_handed_over(shop: Shop) -> None:
    shop.providers["push"].answers = ["retry"] * 7
    await shop.open("push", "email")
    await shop.happen()
    await shop.at(MONDAY + 3 * MINUTE)
    attempts, message = len(shop.providers["push"].taken), shop.providers["push"].taken[0].id
    handed_over = MONDAY + sum(backoff(number, None, message) for number in range(1, 8))
    await shop.at(handed_over + 30 * MINUTE - SECOND)
    assert 1 < attempts < 8 == len(shop.providers["push"].taken)
    assert "email" not in shop.taken()
    await shop.at(handed_over + 30 * MINUTE)
    assert shop.taken().count("email") == 1
    assert set(await shop.replays()) == {True}


async def test_a_provider_that_fails_too_often_is_an_end(shop: Shop) -> None:
    shop.providers["push"].answers = ["retry"] * 9
    await shop.open("push", "email")
    await shop.happen()
    await shop.at(MONDAY + 10 * MINUTE)
    assert shop.taken().count("email") == 1


NIGHT = {"quiet_hours": [{"id": "night", "scope": {"channels": ["push", "email"]}, "from": "09:00", "to": "11:00"}]}


async def test_a_choice_that_waits_is_made_anew_among_all_channels(shop: Shop, tmp_path: Path) -> None:
    await shop.open("push", "email", policy_parts=NIGHT)
    await shop.happen()
    assert sorted(await shop.lines()) == [
        ("10:00", "email", "defer", "fallback_wait"),
        ("10:00", "push", "defer", "quiet_hours"),
    ]
    contacts = (await shop.product.ask("GET", "/v1/contacts/c-1"))["contacts"]
    assert [(each["channel"], each["state"]) for each in contacts] == [("push", "planned")]
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == ["push", "email"]
    documents = {
        "campaign": falling_back("push", "email"),
        "policy": policy(**NIGHT),
        "customer": somebody("push", "email"),
    }
    lines = simulated(tmp_path, documents, None, MONDAY + 5 * HOUR)
    assert same(lines) == same(await shop.product.decisions(trace="full"))
    assert [line["time"][11:16] for line in lines] == ["10:00"] * 2 + ["11:00"] * 2 + ["11:30"]
    assert set(await shop.replays()) == {True}


LATER = {"quiet_hours": [{"id": "late", "scope": {"channels": ["email"]}, "from": "10:15", "to": "12:00"}]}


@pytest.mark.parametrize("told", [None, 50 * MINUTE])
async def test_a_next_channel_that_must_wait_has_its_place_until_the_first_is_confirmed_after_all(
    shop: Shop, tmp_path: Path, told: int | None
) -> None:
    await shop.open("push", "email", policy_parts=LATER)
    await shop.happen()
    await shop.at(HALF_PAST)
    assert await shop.last() == ("10:30", "email", "defer", "quiet_hours")
    contacts = (await shop.product.ask("GET", "/v1/contacts/c-1"))["contacts"]
    assert [(each["channel"], each["state"]) for each in contacts] == [("push", "made"), ("email", "planned")]
    if told is not None:
        await shop.at(MONDAY + told)
        await shop.say("push", "delivered")
        assert await shop.last() == ("10:50", "email", "suppress", "other_channel")
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == (["push", "email"] if told is None else ["push"])
    contacts = (await shop.product.ask("GET", "/v1/contacts/c-1"))["contacts"]
    assert len(contacts) == len(shop.taken())
    documents = {
        "campaign": falling_back("push", "email"),
        "policy": policy(**LATER),
        "customer": somebody("push", "email"),
    }
    lines = simulated(tmp_path, documents, told, MONDAY + 5 * HOUR)
    assert same(lines) == same(await shop.product.decisions(trace="full"))
    assert set(await shop.replays()) == {True}


async def test_one_touch_covers_all_its_channels_and_counts_for_others(shop: Shop) -> None:
    one_a_day = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}
    await shop.open(
        "push", "email", policy_parts={"frequency_caps": [one_a_day], "min_gaps": [{"id": "gap", "gap": "2h"}]}
    )
    await shop.happen()
    await shop.at(HALF_PAST)
    assert shop.taken() == ["push", "email"]
    await shop.happen("e-2")
    refused = [line[2:] for line in await shop.lines() if line[0] == "10:30"]
    assert refused == [("send", "eligible"), *[("suppress", "frequency_cap")] * 2]
    assert await audit(shop.product) == []


async def test_a_cap_that_names_channels_counts_each_of_them(shop: Shop) -> None:
    scope = {"channels": ["push", "email"]}
    cap = {"id": "cap", "scope": scope, "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}
    await shop.open("push", "email", policy_parts={"frequency_caps": [cap]})
    await shop.happen()
    await shop.at(HALF_PAST)
    assert await shop.last() == ("10:30", "email", "suppress", "frequency_cap")


async def test_rules_are_asked_again_when_the_turn_comes(shop: Shop) -> None:
    await shop.open("push", "email", "sms")
    await shop.happen()
    await shop.product.ask("PATCH", "/v1/preferences/c-1", {"opt_outs": [{"channel": "email"}]})
    await shop.at(HALF_PAST)
    assert shop.taken() == ["push", "sms"]
    assert ("10:30", "email", "suppress", "opted_out_channel") in await shop.lines()
    assert set(await shop.replays()) == {True}


async def test_a_channel_that_is_refused_at_the_recheck_is_followed_at_once(shop: Shop) -> None:
    await shop.open("push", "email")
    shop.providers["push"].answers = ["retry"]
    await shop.happen()
    await shop.product.ask("PATCH", "/v1/preferences/c-1", {"opt_outs": [{"channel": "push"}]})
    await shop.at(MONDAY + MINUTE)
    assert shop.taken() == ["push", "email"]
    assert ("10:00", "push", "suppress", "opted_out_channel") in await shop.lines()
    assert await shop.states() == {"push": "suppressed", "email": "accepted"}
    assert set(await shop.replays()) == {True}


async def test_a_channel_whose_content_cannot_be_rendered_is_followed_at_once(shop: Shop) -> None:
    content = {"push": {"en": {"title": "{{ event.data.name }}", "body": "x"}}, "email": CONTENT["email"]}
    await shop.open("push", "email", content=content)
    await shop.happen()
    assert shop.taken() == ["email"]
    assert ("10:00", "push", "fail", "render_error") in await shop.lines()
    assert await shop.states() == {"push": "failed", "email": "accepted"}
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == ["email"]
    assert set(await shop.replays()) == {True}


@pytest.mark.parametrize("strategy", ["first", "all"])
async def test_a_version_that_does_not_fall_back_sends_nothing_on_a_second_channel(shop: Shop, strategy: str) -> None:
    await shop.open("push", "email", "sms")
    await shop.happen()
    document = falling_back("push", "email", "sms", strategy=strategy)
    del document["fallback_after"]
    await shop.product.campaign(document)
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == ["push"]
    assert [line[2:] for line in await shop.lines() if line[0] == "10:30"] == [("suppress", "other_channel")] * 2
    assert set(await shop.replays()) == {True}


@pytest.mark.parametrize("strategy", ["first", "all"])
async def test_a_version_that_does_not_fall_back_any_more_decides_about_a_choice_that_waits(
    shop: Shop, strategy: str
) -> None:
    await shop.open("push", "email", policy_parts=NIGHT)
    await shop.happen()
    document = falling_back("push", "email", strategy=strategy)
    del document["fallback_after"]
    await shop.product.campaign(document)
    await shop.at(MONDAY + 5 * HOUR)
    assert sorted(shop.taken()) == (["push"] if strategy == "first" else ["email", "push"])
    assert set(await shop.replays()) == {True}


async def test_a_paused_campaign_sends_on_no_second_channel(shop: Shop) -> None:
    await shop.open("push", "email")
    await shop.happen()
    await shop.product.ask("POST", "/v1/campaigns/offer/pause")
    await shop.at(MONDAY + HOUR)
    assert shop.taken() == ["push"]
    assert await shop.last() == ("10:30", "email", "suppress", "campaign_inactive")


async def test_what_expires_before_its_turn_ends_then(shop: Shop) -> None:
    await shop.open("push", "email", ttl="20m")
    await shop.happen()
    await shop.at(MONDAY + HOUR)
    assert shop.taken() == ["push"]
    assert await shop.last() == ("10:20", "email", "suppress", "expired")


async def test_a_channel_without_receipts_is_confirmed_when_it_is_accepted(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy())
        saved = await product.ask("PUT", "/v1/campaigns/offer", falling_back("push", "email"))
        assert [each["pointer"] for each in saved["findings"] if each["code"] == "confirmed_when_accepted"] == [
            "/channels/0",
            "/channels/1",
        ]
        await product.campaign(falling_back("push", "email", priority=51))
        await product.customer(somebody("push", "email"))
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        assert [each["channel"] for each in await product.inbox()] == ["push"]
        lines = [(each["time"], each["channel"], each["reason"]) for each in await product.decisions()]
        assert (format_instant(MONDAY), "email", "other_channel") in lines


async def test_why_names_the_channel_that_is_waited_for(shop: Shop) -> None:
    await shop.open("push", "email")
    await shop.happen()
    (waits,) = [each for each in await shop.product.decisions() if each["outcome"] == "defer"]
    told = (await shop.product.ask("GET", f"/v1/decisions/{waits['decision_id']}"))["sentence"]
    assert told == (
        "The message waits until 2 March 2026, 10:30 UTC: it is sent only if no delivery by push is confirmed."
    )
    await shop.say("push", "delivered")
    (last,) = [each for each in await shop.product.decisions() if each["reason"] == "other_channel"]
    told = (await shop.product.ask("GET", f"/v1/decisions/{last['decision_id']}"))["sentence"]
    assert told == "It is not sent by e-mail, because delivery by push is confirmed."


async def test_why_a_next_channel_was_sent_names_those_before(shop: Shop) -> None:
    await shop.open("push", "email")
    await shop.happen()
    await shop.at(HALF_PAST)
    (sent,) = [each for each in await shop.product.decisions(channel="email") if each["outcome"] == "send"]
    told = await shop.product.ask("GET", f"/v1/decisions/{sent['decision_id']}")
    assert told["verdicts"][-1]["words"] == "it follows push, which nobody has confirmed"


async def test_the_plan_for_lifting_a_hold_knows_what_was_tried(shop: Shop) -> None:
    await shop.open("push", "email", "sms")
    await shop.happen()
    hold = {"key": "h", "mode": "defer", "scope": {"channels": ["email", "sms"]}, "until": None, "reason": "an outage"}
    await shop.product.ask("POST", "/v1/holds", hold)
    await shop.at(HALF_PAST)
    assert await shop.last() == ("10:30", "sms", "defer", "fallback_wait")
    plan = await shop.product.ask("GET", "/v1/holds/h/plan")
    assert [(each["channel"], each["outcome"], each["messages"]) for each in plan["after_caps"]["items"]] == [
        ("email", "send", 1)
    ]
    await shop.product.ask("POST", "/v1/holds/h/lift", {"reason": "over"})
    await shop.at(MONDAY + 40 * MINUTE)
    assert shop.taken() == ["push", "email"]
    await shop.at(MONDAY + 5 * HOUR)
    assert shop.taken() == ["push", "email", "sms"]
    assert set(await shop.replays()) == {True}

"""A day of a shop at work, and then every decision of it judged again from what was kept of its time."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.decision import Decision
from schemas.times import HOUR, MINUTE, SECOND, format_instant
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

CUSTOMERS = ("c-1", "c-2", "c-3")
PUSH = {"title": "Hello", "body": "How are you?"}
POLICY = policy(
    situations=[
        {
            "kind": "complaint",
            "opens": [{"event": "shop.complaint"}],
            "closes": [{"event": "shop.resolved"}],
            "lapses": "30d",
        }
    ],
    contact_history=[
        {
            "id": "no-ask-after-complaint",
            "scope": {"intents": ["ask_review"]},
            "never": {"after": {"situation": "complaint"}, "within": "2h", "while_open": True},
            "on_match": "drop",
        },
        {
            "id": "let-it-rest",
            "scope": {"intents": ["educate"]},
            "never": {"after": {"situation": "complaint"}, "within": "1h", "while_open": True},
            "on_match": "defer",
        },
    ],
    frequency_caps=[
        {"id": "two-an-hour", "scope": {"classes": ["marketing"]}, "limit": 2, "window": {"rolling": "1h"},
         "on_exceed": "defer"},
        {"id": "six-a-day", "scope": {"classes": ["marketing"]}, "limit": 6, "window": {"calendar": "day"},
         "on_exceed": "drop"},
    ],
    min_gaps=[{"id": "breathing", "scope": {"channels": ["email"]}, "gap": "5m"}],
    quiet_hours=[{"id": "night", "scope": {"channels": ["push"]}, "from": "21:00", "to": "08:00"}],
)  # fmt: skip


def campaigns() -> list[dict[str, Any]]:
    """Several on one event, with every strategy that chooses."""
    both = {"email": campaign()["content"]["email"], "push": {"en": PUSH}}
    return [
        campaign("offer", priority=40, ttl="6h"),
        campaign("tip", intent="educate", trigger={"event": "shop.offer"}, priority=60, ttl="12h"),
        campaign("review", intent="ask_review", channels=["push", "email"], content=both, reentry="every 3h"),
        campaign("loud", trigger={"event": "shop.review"}, strategy="all", channels=["email", "push"], content=both,
                 audience="event.data.total > 50", priority=70),
        campaign("news", trigger={"event": "shop.news", "when": "event.data.total > 20"}),
        campaign("chain", trigger={"event": "shop.news"}, channels=["push", "email"], content=both, priority=55,
                 strategy="fallback", fallback_after="20m"),
    ]  # fmt: skip


async def a_day(product: Live, chance: random.Random) -> None:
    """Some hundred things happen, often several at one instant."""
    now = MONDAY
    for number in range(70):
        now += chance.choice((0, 0, 7 * SECOND, MINUTE, 9 * MINUTE, 40 * MINUTE))
        await product.at(now)
        await something(product, chance, number)
    await product.at(now + 14 * HOUR)


async def something(product: Live, chance: random.Random, number: int) -> None:
    """One event, or something that a person does."""
    who = chance.choice(CUSTOMERS)
    now = product.clock.now()
    match chance.choices(range(8), (30, 6, 5, 3, 2, 2, 1, 1))[0]:
        case 0:
            kind = chance.choice(("shop.offer", "shop.offer", "shop.review", "shop.news"))
            data = {"total": chance.choice((10, 30, 60))} if chance.random() < 0.9 else {"total": "much"}
            late = chance.choice((0, 0, 0, 5 * HOUR))
            await product.send(event(kind, f"e-{number}", now - late, who, **data))
        case 1 | 2 as what:
            await product.send(event(("shop.complaint", "shop.resolved")[what - 1], f"s-{number}", now, who))
        case 3:
            opted = chance.choice(([], [{"topic": "news"}], [{"channel": "push"}]))
            await product.ask("PATCH", f"/v1/preferences/{who}", {"opt_outs": opted, "traits": {"n": number}})
        case 4:
            entry = {"customer": who, "reason": "manual", "expires": format_instant(now + chance.choice((1, 3)) * HOUR)}
            await product.ask("POST", "/v1/suppressions", {**entry, "scope": {"channel": "email"}})
        case 5:
            await hold(product, chance, number)
        case 6:
            action = chance.choice(("pause", "activate"))
            await product.editor.post(f"/v1/campaigns/news/{action}")
        case 7:
            await product.policy({**POLICY, "min_gaps": [{"id": "breathing", "gap": f"{1 + number % 9}m"}]})


async def hold(product: Live, chance: random.Random, number: int) -> None:
    """A hold that lasts for a while, or until it is lifted."""
    standing = (await product.ask("GET", "/v1/holds"))["items"]
    if standing and chance.random() < 0.6:
        await product.editor.post(f"/v1/holds/{standing[0]['key']}/lift", json={"reason": "over"})
        return
    until = None if chance.random() < 0.5 else format_instant(product.clock.now() + HOUR)
    document = {"key": f"h-{number}", "mode": chance.choice(("defer", "drop")), "scope": {"topics": ["news"]}}
    await product.ask("POST", "/v1/holds", {**document, "until": until, "reason": "an outage"})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_decision_of_a_day_is_taken_once_more(tmp_path: Path, seed: int) -> None:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(POLICY)
        for document in campaigns():
            await product.campaign(document)
        for who in CUSTOMERS:
            addresses = [
                {"channel": name, "address": f"{who}@example.org", "verified": True} for name in ("email", "push")
            ]
            consent = [{"channel": name, "topic": "*", "status": "granted", "at": "2026-01-01T00:00:00Z",
                        "source": "shop", "wording": "w-1"} for name in ("email", "push")]  # fmt: skip
            await product.customer(customer(who, addresses=addresses, consent=consent))
        await a_day(product, random.Random(seed))
        decided = await product.decisions()
        different = []
        for line in decided:
            replayed = (await product.ask("GET", f"/v1/decisions/{line['decision_id']}?replay=1"))["replay"]
            if replayed["same"] is not True:
                different.append((line, replayed))
    assert len(decided) > 60
    assert len({line["reason"] for line in decided}) >= 8
    assert different == []


async def shop(product: Live) -> None:
    """One campaign and one customer who may get it."""
    await product.policy(POLICY)
    await product.campaign(campaign())
    await product.customer(customer())


async def replayed(product: Live, decision_id: int) -> Any:
    """What a replay of the decision says."""
    return (await product.ask("GET", f"/v1/decisions/{decision_id}", params={"replay": "true"}))["replay"]


async def test_what_happened_later_does_not_change_what_was_decided(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + HOUR)
        await product.ask("PATCH", "/v1/preferences/c-1", {"opt_outs": [{"all": True}]})
        await product.ask("POST", "/v1/suppressions", {"customer": "c-1", "reason": "manual"})
        await product.campaign(campaign(holdout=100))
        (line,) = await product.decisions()
        again = await replayed(product, line["decision_id"])
        assert (again["same"], again["decision"]["outcome"], again["facts_at"]) == (True, "send", line["time"])
        assert again["decision"]["verdicts"]

        why = {"customer": "c-1", "campaign": "offer"}
        now = await product.ask("GET", "/v1/why", params=why)
        then = await product.ask("GET", "/v1/why", params={**why, "at": format_instant(MONDAY + HOUR - 1)})
        before = await product.ask("GET", "/v1/why", params={**why, "at": format_instant(MONDAY)})
        assert now["reason"] == "suppression_list"
        assert {verdict["rule"] for verdict in now["verdicts"] if verdict["verdict"] == "deny"} >= {
            "opt_out",
            "holdout",
        }
        assert (then["reason"], then["version"], then["policy_version"]) == ("eligible", 1, 1)
        assert before["at"] == format_instant(MONDAY)


async def test_a_record_that_does_not_follow_from_its_facts_is_found(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await product.send(event("shop.offer", "e-1"))
        (line,) = await product.decisions()
        async with product.database.write() as tx:
            row = await tx.row("SELECT body FROM decision")
            assert row is not None
            forged = msgspec.structs.replace(msgspec.msgpack.decode(row.body, type=Decision), reason="no_consent")
            await tx.execute("UPDATE decision SET body = :body", body=msgspec.msgpack.encode(forged))
        again = await replayed(product, line["decision_id"])
        assert (again["same"], again["decision"]["reason"]) == (False, "eligible")


async def test_what_is_not_kept_any_more_is_said(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await product.send(event("shop.offer", "e-1"))
        (line,) = await product.decisions()
        async with product.database.write() as tx:
            await tx.execute("UPDATE decision SET event = NULL")
        again = await replayed(product, line["decision_id"])
        assert (again["same"], again["decision"]) == (None, None)
        assert again["unknown"] == ["the event is no longer stored"]


@pytest.mark.parametrize(("later", "same"), [(SECOND, True), (20 * SECOND, False)])
async def test_facts_that_were_read_a_moment_after_the_decisions_time_are_found(
    tmp_path: Path, later: int, same: bool
) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await product.campaign(campaign("review", intent="ask_review"))
        await product.send(event("shop.complaint", "e-1"))
        await product.send(event("shop.review", "e-2"))
        (line,) = await product.decisions()
        assert line["reason"] == "contact_history"
        async with product.together.databases["suppression"].write() as tx:
            await tx.execute("UPDATE situation_event SET recorded = recorded + :later", later=later)
        await product.at(MONDAY + HOUR)
        again = await replayed(product, line["decision_id"])
        assert again["same"] is same
        assert again["facts_at"] == format_instant(MONDAY + later if same else MONDAY)

"""The strategy `fallback`: which channel stands, what the others wait for, and what of it is recorded."""

from typing import Any

import msgspec
import pytest

from schemas.decision import Decision
from schemas.facts import HoldFact, MessageScope, OptOut
from schemas.times import HOUR, MINUTE, SECOND
from services.orchestrator.policy.decide import DecideResult, decide
from services.orchestrator.policy.fallback_progress import (
    NO_PROGRESS,
    FallbackProgress,
    TriedChannel,
    TriedState,
    recorded_progress,
)
from services.orchestrator.policy.ledger import Ledger
from tests.support.policy_builders import at, campaign, contact, event, facts, ledger, policy, preference, touch

NOW = at("02 22:00")
CHAIN = campaign(channels=["push", "email", "sms"], strategy="fallback", fallback_after="30m", ttl="3d")
NIGHT = {"id": "night", "scope": {"channels": ["push"]}, "from": "21:00", "to": "08:00"}
WAIT = ("defer", "fallback_wait")
OTHER = ("suppress", "other_channel", None)


def tried(state: TriedState, minutes_ago: int | None = 0) -> TriedChannel:
    return TriedChannel(state, None if minutes_ago is None else NOW - minutes_ago * MINUTE)


def decided(
    progress: FallbackProgress | None = None, past: Ledger | None = None, chain: Any = CHAIN, **known: Any
) -> DecideResult:
    again = msgspec.structs.replace(touch(chain, event("02 22:00")), progress=progress)
    return decide([again], facts(**known), past or Ledger.empty(), NOW)


def lines(judged: DecideResult) -> list[tuple[Any, ...]]:
    return [(each.channel, each.outcome, each.reason, each.until) for each in judged.decisions]


def test_one_channel_is_sent_and_the_others_wait_without_a_place_on_the_ledger() -> None:
    judged = decided()
    half_past = NOW + 30 * MINUTE
    assert lines(judged) == [("push", "send", "eligible", None), ("email", *WAIT, half_past), ("sms", *WAIT, half_past)]
    assert [each.attributes.channel for each in judged.ledger] == ["push"]
    push = judged.planned[0].message_id
    assert [(each.parked.wake_at, each.woken_by) for each in judged.planned[1:] if each.parked is not None] == [
        (half_past, (push,)),
        (half_past, (push,)),
    ]
    assert [recorded_progress(each) for each in judged.decisions] == [None] * 3


def test_what_is_denied_keeps_its_line() -> None:
    judged = decided(chosen=preference(opt_outs=(OptOut(channel="email"),)))
    assert lines(judged)[1] == ("email", "suppress", "opted_out_channel", None)


def test_for_a_choice_that_waits_the_others_wait_as_long() -> None:
    away = (OptOut(channel="email"), OptOut(channel="sms"))
    judged = decided(chosen=preference(opt_outs=away[:1]), rules=policy(quiet_hours=[{**NIGHT, "scope": {}}]))
    assert lines(judged)[0] == ("push", "defer", "quiet_hours", at("03 08:00"))
    assert lines(judged)[2] == ("sms", *WAIT, at("03 08:00"))
    assert judged.planned[0].woken_by == (judged.planned[0].message_id,)


def test_for_a_choice_that_is_parked_the_others_wait_without_a_time() -> None:
    hold = HoldFact("all", "defer", 0, None, MessageScope())
    judged = decided(holds=(hold,))
    assert lines(judged) == [("push", "defer", "incident_hold", None), ("email", *WAIT, None), ("sms", *WAIT, None)]
    assert {each.parked.wake_at for each in judged.planned if each.parked is not None} == {NOW + 72 * HOUR}


def test_nothing_is_waited_for_beyond_the_end_of_the_message() -> None:
    judged = decided(chain=campaign(channels=["push", "email"], strategy="fallback", fallback_after="2h", ttl="1h"))
    assert lines(judged)[1] == ("email", *WAIT, NOW + HOUR)


STATES: list[tuple[TriedChannel, list[tuple[Any, ...]]]] = [
    (tried(TriedState.UNDER_WAY, None), [("email", *WAIT, NOW + 30 * MINUTE), ("sms", *WAIT, NOW + 30 * MINUTE)]),
    (tried(TriedState.HANDED_OVER, 29), [("email", *WAIT, NOW + MINUTE), ("sms", *WAIT, NOW + MINUTE)]),
    (tried(TriedState.HANDED_OVER, 30), [("email", "send", "eligible", None), ("sms", *WAIT, NOW + 30 * MINUTE)]),
    (tried(TriedState.CONFIRMED, 1), [("email", *OTHER), ("sms", *OTHER)]),
    (tried(TriedState.CONFIRMED, 99), [("email", *OTHER), ("sms", *OTHER)]),
    (tried(TriedState.ENDED, 0), [("email", "send", "eligible", None), ("sms", *WAIT, NOW + 30 * MINUTE)]),
]


@pytest.mark.parametrize(("push", "expected"), STATES)
def test_what_became_of_the_channel_before_decides_about_the_next(push: TriedChannel, expected: Any) -> None:
    progress = FallbackProgress({"push": push}, NOW - HOUR)
    judged = decided(progress)
    assert lines(judged) == expected
    assert [recorded_progress(each) for each in judged.decisions] == [progress, progress]


def test_a_record_stands_a_journey_through_the_database() -> None:
    progress = FallbackProgress(
        {"push": tried(TriedState.HANDED_OVER, 40), "sms": tried(TriedState.UNDER_WAY, None)}, NOW
    )
    (decision,) = decided(progress).decisions
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(decision), type=Decision)
    assert recorded_progress(again) == progress


def test_all_that_is_open_is_waited_for_and_may_wake_the_next() -> None:
    progress = FallbackProgress({"push": tried(TriedState.HANDED_OVER, 61), "email": tried(TriedState.HANDED_OVER, 29)})
    (sms,) = decided(progress).planned
    ids = {channel: touch(CHAIN, event("02 22:00")).message_id(channel) for channel in ("push", "email")}
    assert (sms.until, set(sms.woken_by)) == (NOW + MINUTE, set(ids.values()))
    late = FallbackProgress({**progress.tried, "push": tried(TriedState.CONFIRMED, 61)})
    assert lines(decided(late)) == [("sms", *OTHER)]


def test_a_next_channel_that_must_wait_is_planned_and_woken_by_the_first() -> None:
    progress = FallbackProgress({"email": tried(TriedState.HANDED_OVER, 31)}, NOW - HOUR)
    away = preference(opt_outs=(OptOut(channel="sms"),))
    judged = decided(progress, rules=policy(quiet_hours=[NIGHT]), chosen=away)
    (push,) = judged.planned
    assert (push.until, push.parked) == (at("03 08:00"), None)
    assert push.woken_by == (touch(CHAIN, event("02 22:00")).message_id("email"),)
    assert [(each.attributes.channel, each.first_planned) for each in judged.ledger] == [("push", NOW)]


def test_a_version_that_does_not_fall_back_ends_what_waits() -> None:
    progress = FallbackProgress({"push": tried(TriedState.HANDED_OVER, 99)})
    for strategy in ("first", "all"):
        chain = campaign(channels=["push", "email", "sms"], strategy=strategy)
        assert sorted(lines(decided(progress, chain=chain))) == [("email", *OTHER), ("sms", *OTHER)]


def test_without_progress_a_stored_choice_is_made_as_a_fresh_one() -> None:
    assert lines(decided(NO_PROGRESS)) == lines(decided())


def test_where_every_channel_was_tried_nothing_is_left_to_decide() -> None:
    progress = FallbackProgress({each: tried(TriedState.HANDED_OVER, 99) for each in ("push", "email", "sms")})
    judged = decided(progress)
    assert (judged.decisions, judged.planned) == ((), ())


CAP = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}


@pytest.mark.parametrize(
    ("cap", "outcome"), [(CAP, "send"), ({**CAP, "scope": {"channels": ["push", "email"]}}, "suppress")]
)
def test_the_contact_of_the_channel_before_counts_as_that_of_a_sibling(cap: Any, outcome: str) -> None:
    made = ledger(contact("02 21:20", of=CHAIN, channel="push", event_id=event("02 22:00").id))
    progress = FallbackProgress({"push": tried(TriedState.HANDED_OVER, 40)}, NOW - HOUR)
    away = preference(opt_outs=(OptOut(channel="sms"),))
    judged = decided(progress, made, rules=policy(frequency_caps=[cap]), chosen=away)
    assert judged.decisions[0].outcome == outcome


@pytest.mark.parametrize("state", list(TriedState))
def test_a_wait_ends_to_the_second(state: TriedState) -> None:
    progress = FallbackProgress({"push": tried(state, 30)})
    is_open = state in (TriedState.UNDER_WAY, TriedState.HANDED_OVER)
    assert progress.waits_until(30 * MINUTE, NOW) is None
    assert progress.waits_until(30 * MINUTE, NOW - SECOND) == (NOW if is_open else None)

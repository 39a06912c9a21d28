"""What versions in shadow decide beside the live ones: on the same facts and the same ledger."""

import asyncio
from dataclasses import fields
from typing import Any

import pytest

from schemas.message import Message
from services.kit.observability.metrics import Registry
from services.orchestrator.decisions.evaluation import DeferredMessage, ReadyMessage
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.insight.shadow.observations import ShadowObservation, ShadowObservations
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.policy.ledger import Ledger
from services.template import RenderError
from tests.support.policy_builders import at, contact, facts
from tests.support.shadow_builders import (
    NOW,
    STRICT,
    Came,
    campaign,
    catalogue,
    lines,
    newer,
    offer,
    policy,
    rendered,
    shadowed,
)


def test_a_policy_judges_what_is_live_in_the_order_of_the_batch() -> None:
    notes = shadowed(catalogue(campaign(), rules=policy(frequency_caps=[STRICT])), offer("e-1"), offer("e-2"))
    assert lines(notes) == [
        ("policy", "send", "eligible", "send", True),
        ("policy", "suppress", "frequency_cap", "send", False),
    ]
    assert {note.decision.policy_version for note in notes.observations if note.decision} == {2}


def test_an_event_twice_in_a_batch_is_judged_once() -> None:
    assert len(shadowed(catalogue(campaign(), rules=policy()), offer("e-1"), offer("e-1")).observations) == 1


def test_a_campaign_stands_in_place_of_its_active_version_among_the_others() -> None:
    other = campaign("other", priority=60, trigger={"event": "shop.offer"})
    watched = newer(campaign(priority=90))
    found = catalogue(campaign(priority=10), other, watched=[watched])
    found = type(found)(found.campaigns, policy(frequency_caps=[STRICT]), found.configured_channels, found.shadows)
    known = facts(found.policy)
    notes = shadowed(found, offer(), known=known)
    assert lines(notes) == [("campaign", "send", "eligible", "suppress", False)], "it outranks the other one now"
    assert notes.observations[0].decision is not None and notes.observations[0].decision.version == 2


def test_without_an_active_version_there_is_nothing_to_agree_with() -> None:
    for live in ((), (campaign(active=False),)):
        notes = shadowed(catalogue(*live, watched=[newer(campaign())]), offer())
        assert lines(notes) == [("campaign", "send", "eligible", "", None)]


def test_a_channel_that_one_side_lacks_is_a_disagreement() -> None:
    notes = shadowed(catalogue(campaign(), watched=[newer(campaign(channels=["push"]))]), offer())
    assert sorted(lines(notes)) == [
        ("campaign", "none", "", "send", False),
        ("campaign", "send", "eligible", "none", False),
    ]


def test_both_in_shadow_are_judged_together_and_compared_with_nothing() -> None:
    found = catalogue(campaign(), watched=[newer(campaign())], rules=policy(frequency_caps=[STRICT]))
    assert sorted(lines(shadowed(found, offer())), key=str) == [
        ("campaign", "send", "eligible", "send", True),
        ("policy", "send", "eligible", "", None),
        ("policy", "send", "eligible", "send", True),
    ]


def test_a_reported_contact_counts_in_a_shadow_too() -> None:
    report = contact("02 09:00", reported=True)
    notes = shadowed(
        catalogue(campaign(), rules=policy(frequency_caps=[STRICT])),
        offer("r-1", reported_contact=report),
        offer("e-1"),
    )
    assert lines(notes) == [("policy", "suppress", "frequency_cap", "send", False)]


def test_a_shadow_that_looks_back_further_than_the_ledger_fails_closed() -> None:
    forgotten = {"c-1": VersionedLedger(9, Ledger.empty().forget(at("01 10:00")))}
    found = catalogue(campaign(), rules=policy(min_gaps=[{"id": "long", "gap": "90d"}]))
    notes = shadowed(found, offer(), ledgers=forgotten)
    assert [line[1:3] for line in lines(notes)] == [("fail", "policy_unavailable")]


def test_an_event_that_concerns_no_shadow_leaves_no_note() -> None:
    watched = newer(campaign("other"))
    assert shadowed(catalogue(campaign(), watched=[watched]), offer()).observations == []


def test_what_cannot_be_rendered_fails_and_counts_no_more() -> None:
    def broken(planned: PlannedMessage, *_: Any) -> Message:
        if planned.triggered.campaign.version == 2:
            raise RenderError("undefined", "no nickname")
        return rendered(planned, facts(), NOW)

    found = catalogue(campaign(), watched=[newer(campaign())])
    found = type(found)(found.campaigns, policy(frequency_caps=[STRICT]), found.configured_channels, found.shadows)
    notes = shadowed(found, offer("e-1"), offer("e-2"), known=facts(found.policy), render=broken)
    assert lines(notes) == [
        ("campaign", "fail", "render_error", "send", False),
        ("campaign", "fail", "render_error", "suppress", False),
    ]


def test_what_was_rendered_live_is_not_rendered_again() -> None:
    asked: list[PlannedMessage] = []

    def noting(planned: PlannedMessage, *_: Any) -> Message:
        asked.append(planned)
        return rendered(planned, facts(), NOW)

    shadowed(catalogue(campaign(), rules=policy()), offer(), render=noting)
    assert asked == []
    shadowed(catalogue(campaign(), watched=[newer(campaign())]), offer(), render=noting)
    assert len(asked) == 1


def test_more_than_the_limit_is_left_out_and_counted() -> None:
    found = catalogue(campaign(), rules=policy())
    notes = shadowed(found, offer("e-1"), offer("e-2"), evaluation_count=1)
    assert (notes.observations, list(notes.skipped.values())) == ([], [2])
    assert [cause for _, cause in notes.skipped] == ["limit"]
    late = iter([0.0, 9.0])
    slow = shadowed(found, offer("e-1"), clock=lambda: next(late))
    assert (slow.observations, [cause for _, cause in slow.skipped]) == ([], ["limit"])


def test_an_exception_in_a_shadow_is_caught_counted_and_logged_without_people(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*_: Any) -> Message:
        raise ZeroDivisionError("c-1 ada@example.org")

    found = catalogue(campaign(), watched=[newer(campaign())], rules=policy())
    notes = shadowed(found, offer(), render=fails)
    assert lines(notes) == [("policy", "send", "eligible", "send", True)], "what needs no rendering goes on"
    assert {(watched.noun, cause): events for (watched, cause), events in notes.skipped.items()} == {
        ("campaign", "error"): 1,
        ("policy", "error"): 1,
    }
    assert "shadow_failed" in caplog.text and "ada" not in caplog.text


def test_a_failure_before_any_shadow_is_judged_is_counted_as_well() -> None:
    class Unreadable(Came):
        @property
        def key(self) -> Any:
            raise ZeroDivisionError

    stranger = Came(offer().event)
    found = catalogue(campaign("other"), rules=policy())
    known = facts()
    shadow = ShadowRecorder(rendered, ShadowMetrics(Registry()))
    assert asyncio.run(shadow.evaluate_batch([stranger], [], {"c-1": known}, {}, found, NOW)).failure is None
    notes = asyncio.run(shadow.evaluate_batch([Unreadable(stranger.event)], [], {"c-1": known}, {}, found, NOW))
    assert (notes.observations, notes.failure, notes.event_count) == ([], "error", 1)


def test_notes_hold_nothing_that_could_be_sent() -> None:
    """Neither content nor an address nor a planned message leaves a shadow; only decisions do."""
    names = {field.name for field in fields(ShadowObservations)}
    assert names == {"now", "event_count", "observations", "skipped", "failure"}
    held = set(ShadowObservation.__annotations__.values()) | {type(each) for each in _parts()}
    assert not held & {PlannedMessage, Message, ReadyMessage, DeferredMessage}
    assert set(ShadowObservation._fields) == {"shadow", "decision", "live", "has_live"}


def _parts() -> list[object]:
    return [part for note in shadowed(catalogue(campaign(), rules=policy()), offer()).observations for part in note]

"""The picture in time: lanes say what the rules know, within the frame."""

import msgspec
import pytest

from schemas.decision import Decision
from schemas.facts import HoldFact, MessageScope, Situation, Suppressions
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.console.time_picture import Lane, Picture, draw_picture
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Ledger
from tests.support.policy_builders import at, campaign, contact, event, facts, ledger, policy, preference, touch

NOW = at("20 12:00")
RULES = {
    "contact_history": [
        {
            "id": "calm",
            "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
            "on_match": "drop",
        }
    ],
    "situations": [{"kind": "complaint", "opens": [{"event": "x"}], "lapses": "180d"}],
    "frequency_caps": [
        {"id": "weekly", "limit": 1, "window": {"rolling": "7d"}, "on_exceed": "defer"},
        {"id": "monthly", "limit": 5, "window": {"calendar": "month"}, "on_exceed": "defer"},
    ],
    "quiet_hours": [{"id": "night", "days": ["mon", "tue"], "from": "21:00", "to": "08:00"}],
}


def picture(*situations: Situation, held: Ledger | None = None, holds: tuple[HoldFact, ...] = ()) -> Picture:
    known = facts(policy(**RULES), None, holds, situations=situations)
    found: Decision = decide([touch(campaign(), event("20 12:00"))], known, held or Ledger.empty(), NOW).decisions[0]
    drawn = draw_picture(found, known, held or Ledger.empty(), WallClock(known.calendar_zone, NOW))
    for lane in drawn.lanes:
        assert lane.description and all(
            0 <= shape.x <= 100 and shape.x + shape.width <= 100.01 for shape in lane.shapes
        )
    return drawn


def lane(drawn: Picture, name: str) -> Lane:
    return next(item for item in drawn.lanes if item.name == name)


def test_a_closed_situation_is_followed_by_its_rest() -> None:
    complaint = Situation("complaint", "", at("10 09:00"), at("12 09:00"))
    drawn = picture(complaint)
    shapes = lane(drawn, "Complaint").shapes
    assert [shape.kind for shape in shapes] == ["open", "rest"]
    assert shapes[0].x + shapes[0].width == pytest.approx(shapes[1].x)
    last = drawn.lanes[-1]
    assert last.description == "Not allowed until Sat 11 Apr, 09:00, allowed from then on."
    assert [shape.kind for shape in last.shapes] == ["no", "yes"]


def test_a_hold_without_an_end_outlasts_the_rest() -> None:
    complaint = Situation("complaint", "", at("10 09:00"), at("12 09:00"))
    hold = HoldFact("outage", "defer", at("19 00:00"), None, MessageScope())
    last = picture(complaint, holds=(hold,)).lanes[-1]
    assert [(shape.kind, shape.text) for shape in last.shapes] == [("no", "no known end")]


def test_an_open_situation_has_no_end() -> None:
    drawn = picture(Situation("complaint", "", at("10 09:00")))
    assert [shape.kind for shape in lane(drawn, "Complaint").shapes] == ["open"]
    assert drawn.lanes[-1].shapes[0].text == "no known end"


def test_days_on_the_axis_stay_days_when_clocks_change() -> None:
    known = facts(policy(**{**RULES, "zone": "Europe/Berlin"}), preference(zone="Europe/Berlin"))
    now = at("2026-10-20T12:00:00Z")
    complaint = Situation("complaint", "", at("2026-10-14T09:00:00Z"), at("2026-10-16T09:00:00Z"))
    known = msgspec.structs.replace(known, suppressions=Suppressions("c-1", 1, (), (complaint,)))
    found = decide([touch(campaign(), event("2026-10-20T12:00:00Z"))], known, Ledger.empty(), now).decisions[0]
    drawn = draw_picture(found, known, Ledger.empty(), WallClock(known.calendar_zone, now))
    assert [tick.text for tick in drawn.ticks][:4] == ["14 Oct", "21 Oct", "28 Oct", "4 Nov"]


def test_lanes_without_anything_are_left_out() -> None:
    assert "Complaint" not in [item.name for item in picture().lanes]


def test_caps_count_what_is_in_their_window() -> None:
    drawn = picture(held=ledger(contact("18 12:00"), contact("02 12:00")))
    assert lane(drawn, "Weekly").description == "The cap weekly: 1 of 1 used."
    assert lane(drawn, "Monthly").description == "The cap monthly: 2 of 5 used."
    assert lane(drawn, "Contacts").description.startswith(
        "1 contacts: 18 Mar"
    )  # the other one is before the picture begins


def test_quiet_hours_are_drawn_on_their_days_alone() -> None:
    shapes = lane(picture(), "Quiet hours").shapes
    assert len(shapes) == 2 and {shape.kind for shape in shapes} == {"quiet"}


def test_a_hold_of_the_scope_is_drawn_until_it_is_lifted() -> None:
    hold = HoldFact("storm", "defer", at("20 10:00"))
    drawn = picture(holds=(hold,))
    shape = lane(drawn, "Hold").shapes[0]
    assert shape.x + shape.width == 100

"""What an event triggered is rebuilt from what is stored."""

from services.orchestrator.decisions.stored_trigger import StoredMessage, rebuild_triggered
from tests.support.policy_builders import at, campaign, event

FIRST = at("02 09:00")
CHOICE = campaign(channels=["email", "push"])
ALL = campaign(channels=["email", "push"], strategy="all")


def test_of_a_choice_all_channels_come_back_with_one_seniority() -> None:
    found = rebuild_triggered(event(), {}, CHOICE, ("push",), FIRST)
    assert (found.channels, found.first_planned, dict(found.first_planned_by_channel)) == (CHOICE.channels, FIRST, {})
    assert [found.first_planned_on(channel) for channel in ("email", "push")] == [FIRST, FIRST]


def test_of_a_campaign_that_sends_on_all_channels_each_message_comes_back_alone() -> None:
    found = rebuild_triggered(event(), {}, ALL, ("push",), FIRST)
    assert (found.channels, found.first_planned) == (("push",), None)
    assert [found.first_planned_on(channel) for channel in ("email", "push")] == [None, FIRST]


def test_the_audience_is_asked_again() -> None:
    """What the decision found is of its facts; a recheck has newer ones."""
    assert [rebuild_triggered(event(), {}, each, ("push",), FIRST).audience for each in (CHOICE, ALL)] == [None, None]


def test_what_was_parked_from_the_start_has_no_seniority() -> None:
    for each in (CHOICE, ALL):
        assert rebuild_triggered(event(), {}, each, ("push",), None).first_planned_on("push") is None


def test_a_stored_message_names_its_event_as_the_inbox_does() -> None:
    assert StoredMessage("msg", "c-1", "offer", "push", None, "/shop", "e-1").event_key == ("c-1", "/shop", "e-1")

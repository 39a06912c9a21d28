"""`tactful why`."""

import pytest

from tests.support.command_line import NOON, RunningProduct

pytestmark = pytest.mark.wired


def test_a_complaint_that_is_open_is_named_with_what_would_have_to_change(tactful: RunningProduct) -> None:
    filed = tactful.run("events", "send", "shop.complaint.filed", "--customer", "greta", "--set", "case=K-7")
    assert filed.code == 0
    sent = tactful.run(
        "events", "send", "shop.order.delivered", "--customer", "greta", "--set", "total=80", "-o", "json"
    )
    assert {each["reason"] for each in sent.data[0]["decisions"] if each["channel"] == "email"} == {"contact_history"}
    done = tactful.run("why", "greta", "referral-ask", "--channel", "email")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0] == "suppress  referral-ask -> greta on email: contact_history"
    assert "the complaint opened on 2 March 2026, 12:00 UTC must be closed first" in lines[1]
    assert "  - an agent closes the complaint" in lines
    assert all(len(line) <= 80 for line in lines[2:])
    denied = [line.split() for line in lines if line.startswith("contact_history") and " deny " in line]
    assert len(denied) == 1


def test_the_most_promising_channel_is_explained_and_the_others_are_listed(tactful: RunningProduct) -> None:
    done = tactful.run("why", "ada", "referral-ask")
    assert done.out.startswith("send  referral-ask -> ada on email: eligible")
    assert any(line.split()[:2] == ["push", "suppress"] for line in done.out.splitlines())


def test_all_rules_are_in_the_data(tactful: RunningProduct) -> None:
    done = tactful.run("why", "ada", "referral-ask", "-o", "json")
    assert {"consent", "quiet_hours", "frequency_cap"} <= {verdict["rule"] for verdict in done.data["verdicts"]}


def test_an_unknown_campaign_is_not_found(tactful: RunningProduct) -> None:
    assert tactful.run("why", "ada", "nobody").code == 3


def test_a_channel_that_the_campaign_does_not_use_is_told(tactful: RunningProduct) -> None:
    done = tactful.run("why", "ada", "referral-ask", "--channel", "sms")
    assert done.code == 1
    assert "the campaign `referral-ask` uses email, push" in done.err


def test_as_of_an_instant_before_the_campaign_there_was_none(tactful: RunningProduct) -> None:
    done = tactful.run("why", "ada", "referral-ask", "--at", "2026-03-01T12:00:00Z")
    assert done.code == 3
    assert "there was no campaign `referral-ask` at 2026-03-01T12:00:00Z; it was registered at" in done.err


def test_as_of_now_the_past_says_what_now_says_and_what_is_not_kept(tactful: RunningProduct) -> None:
    then = tactful.run("why", "ada", "referral-ask", "--at", NOON, "-o", "json").data
    assert (then["at"], then["outcome"]) == (
        NOON,
        tactful.run("why", "ada", "referral-ask", "-o", "json").data["outcome"],
    )
    assert (
        "unknown: which channels were set up then is not kept"
        in tactful.run("why", "ada", "referral-ask", "--at", NOON).err
    )


def test_a_decision_is_taken_once_more(tactful: RunningProduct) -> None:
    sent = tactful.run("events", "send", "shop.order.delivered", "--customer", "ben", "--set", "total=80", "-o", "json")
    decision = sent.data[0]["decisions"][0]
    done = tactful.run("replay", str(decision["decision_id"]))
    assert (done.code, done.out.split("  ")[0]) == (0, "the same")
    told = tactful.run("replay", str(decision["decision_id"]), "-o", "json").data["replay"]
    assert (told["same"], told["decision"]["reason"]) == (True, decision["reason"])
    assert tactful.run("replay", "987654321").code == 3

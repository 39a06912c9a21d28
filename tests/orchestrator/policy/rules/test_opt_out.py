import pytest

from schemas.facts import OptOut
from services.orchestrator.policy.rules.opt_out import rule
from services.orchestrator.policy.rules.opt_out.declaration import DECLARATION
from tests.support.policy_builders import at, campaign, facts, judged, only, preference, touch, try_on

OFFER = campaign()
NOTICE = campaign("notice", cls="service", topic="account")
ALL, CHANNEL, TOPIC = OptOut(all=True), OptOut(channel="email"), OptOut(topic="news")
PAIR, MARKETING = OptOut(channel="email", topic="news"), OptOut(cls="marketing")


@pytest.mark.parametrize(
    ("of", "entries", "reason"),
    [
        (OFFER, (), None),
        (OFFER, (TOPIC, CHANNEL, MARKETING, ALL), "opted_out_all"),  # the first that holds, whatever the order
        (OFFER, (TOPIC, CHANNEL, MARKETING), "opted_out_class"),
        (OFFER, (TOPIC, CHANNEL), "opted_out_channel"),
        (OFFER, (TOPIC,), "opted_out_topic"),
        (OFFER, (PAIR,), "opted_out_topic"),
        (OFFER, (OptOut(channel="push", topic="news"),), None),
        (OFFER, (OptOut(channel="push"),), None),
        (OFFER, (OptOut(topic="account"),), None),
        (OFFER, (OptOut(cls="service"),), None),
        (OFFER, (OptOut(cls="marketing", channel="email"),), "opted_out_class"),
        (OFFER, (OptOut(cls="marketing", channel="push"),), None),
        (OFFER, (OptOut(cls="service", channel="email"),), None),
        (OFFER, (OptOut(cls="marketing", channel="email", topic="news"),), "opted_out_class"),
        (OFFER, (OptOut(cls="marketing", topic="account"),), None),
        (NOTICE, (OptOut(cls="service", channel="email"),), None),  # of a class, even on a channel: it is required
        (OFFER, (OptOut(),), None),  # names nothing
        (NOTICE, (ALL, OptOut(cls="service"), OptOut(topic="account")), None),  # its topic is required
        (NOTICE, (ALL, CHANNEL), "opted_out_channel"),  # a channel can be switched off even so
        (NOTICE, (OptOut(channel="email", topic="account"),), None),
    ],
)
def test_table(of: object, entries: tuple[OptOut, ...], reason: str | None) -> None:
    known = facts(chosen=preference(opt_outs=entries))
    found = only(judged(rule, try_on(touch(of), known), known))  # type: ignore[arg-type]
    assert found == ("allow" if reason is None else "deny", reason, None, None)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((OptOut(cls="marketing"),), "marketing messages"),
        ((OptOut(cls="marketing", channel="email"),), "marketing messages on e-mail"),
        ((OptOut(cls="marketing", topic="news"),), "marketing messages about the topic news"),
        ((OptOut(cls="marketing", channel="email", topic="news"), OptOut(cls="marketing")), "marketing messages"),
    ],
)
def test_an_opt_out_of_a_class_says_how_far_it_goes(entries: tuple[OptOut, ...], words: str) -> None:
    known = facts(chosen=preference(opt_outs=entries))
    (verdict,) = judged(rule, try_on(touch(OFFER), known), known)
    (reason,) = [each for each in DECLARATION.reasons if each.code == verdict.reason]
    assert reason.explain is not None
    assert reason.explain(verdict) == f"the customer opted out of {words}"


def test_a_pause_denies_until_it_is_over() -> None:
    known = facts(chosen=preference(paused_until=at("02 12:00")))
    tried = try_on(touch(), known)
    assert only(judged(rule, tried, known, "02 11:59:59")) == ("deny", "paused", None, at("02 12:00"))
    assert only(judged(rule, tried, known, "02 12:00"))[0] == "allow"
    assert only(judged(rule, try_on(touch(NOTICE), known), known))[0] == "allow"


def test_it_does_not_concern_transactional_messages() -> None:
    assert {"service", "marketing"} == DECLARATION.classes


@pytest.mark.parametrize(
    ("entry", "evidence"),
    [
        (ALL, {}),
        (MARKETING, {"class": "marketing"}),
        (CHANNEL, {"channel": "email"}),
        (TOPIC, {"topic": "news"}),
        (PAIR, {"topic": "news", "channel": "email"}),
    ],
)
def test_a_refusal_says_what_was_switched_off(entry: OptOut, evidence: dict[str, str]) -> None:
    known = facts(chosen=preference(opt_outs=(entry,)))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == evidence


def test_a_topic_switched_off_everywhere_and_on_the_channel_is_off_everywhere() -> None:
    known = facts(chosen=preference(opt_outs=(PAIR, TOPIC)))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == {"topic": "news"}


def test_a_pause_says_until_when() -> None:
    known = facts(chosen=preference(paused_until=at("02 12:00")))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == {"paused_until": "2026-03-02T12:00:00Z"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (OptOut(cls="marketing", channel="email"), "opted_out_class"),
        (OptOut(cls="marketing", channel="push"), None),
        (OptOut(cls="service", topic="news"), None),
        (OptOut(cls="marketing", topic="account"), None),
    ],
)
def test_an_entry_that_names_several_covers_what_has_all_of_them(entry: OptOut, reason: str | None) -> None:
    known = facts(chosen=preference(opt_outs=(entry,)))
    assert only(judged(rule, try_on(touch(), known), known))[1] == reason

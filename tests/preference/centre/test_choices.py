"""Cells of topic x channel: what is shown is what the real rules do, before and after any change."""

from collections.abc import Iterator
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import Address, Consent, OptOut, Preference
from schemas.permission import CLOCK_TOLERANCE
from schemas.policy_topics import PolicyTopic
from schemas.times import DAY, MINUTE, parse_instant
from services.orchestrator.policy.rules.consent import rule as consent_rule
from services.orchestrator.policy.rules.opt_out import rule as opt_out_rule
from services.preference.centre.choices import (
    SOURCE,
    WITHDRAWN,
    Cell,
    Permissions,
    apply_cells,
    is_on,
    own_channels,
    read_cells,
    remove_class,
    topic_channels,
)
from tests.support.policy_builders import campaign, facts, policy, touch, try_on

NOW = parse_instant("2026-03-02T12:00:00Z")
TOPICS = (
    PolicyTopic("news", "News"),
    PolicyTopic("offers", "Offers"),
    PolicyTopic("visits", "Visits", cls="service"),
    PolicyTopic("orders", "Orders", required=True),
)
CHANNELS = ("email", "sms", "push")
KEYS = tuple(topic.key for topic in TOPICS)
FREE = TOPICS[:3]
RULES = policy(topics=[{"key": topic.key, "name": topic.name, "required": topic.required} for topic in TOPICS])
CAMPAIGNS = {
    (cls, topic): campaign(f"{cls}-{topic}", cls=cls, topic=topic, channels=list(CHANNELS))
    for cls in ("service", "marketing")
    for topic in KEYS
}

instants = st.sampled_from([NOW - DAY, NOW - 1, NOW, NOW + 1, NOW + MINUTE, NOW + CLOCK_TOLERANCE + 1, NOW + DAY])
entries = st.one_of(
    st.just(OptOut(all=True)),
    st.builds(
        OptOut,
        cls=st.sampled_from([None, "service", "marketing"]),
        channel=st.sampled_from([None, *CHANNELS]),
        topic=st.sampled_from([None, "news", "offers", "visits"]),
    ).filter(lambda entry: entry != OptOut()),
)
records = st.builds(
    Consent,
    channel=st.sampled_from(CHANNELS),
    topic=st.sampled_from(["*", *KEYS]),
    status=st.sampled_from(["granted", "granted", "granted", "denied"]),
    at=instants,
    expires=st.one_of(st.none(), st.none(), instants),
    source=st.sampled_from(["checkout", SOURCE]),
    wording=st.just("w-1"),
)
states = st.builds(
    Permissions,
    st.lists(entries, max_size=5).map(tuple),
    st.one_of(
        st.lists(records, max_size=6).map(tuple),
        st.just(tuple(Consent(channel, "*", "granted", NOW - DAY) for channel in CHANNELS)),
    ),
)
cells = st.dictionaries(
    st.builds(Cell, st.sampled_from([topic.key for topic in FREE]), st.sampled_from(CHANNELS)), st.booleans()
)


def shown(state: Permissions) -> dict[Cell, bool]:
    return {Cell(t.key, channel): is_on(state, t, channel, NOW) for t in FREE for channel in CHANNELS}


def allowed(state: Permissions, cls: str, topic: str, channel: str) -> bool:
    """Whether the rules let a message through, as the recheck before a handover asks them."""
    known = facts(RULES, Preference("c-1", 1, opt_outs=state.opt_outs, consent=state.consent))
    tried = try_on(touch(CAMPAIGNS[cls, topic]), known, channel=channel, marked="02 12:00")
    rules = (opt_out_rule, consent_rule) if cls == "marketing" else (opt_out_rule,)
    return all(verdict.verdict == "allow" for rule in rules for verdict in rule.evaluate(tried, known, NOW))


def decided(state: Permissions) -> dict[tuple[str, str, str], bool]:
    return {each: allowed(state, *each) for each in product(("service", "marketing"), KEYS, CHANNELS)}


@settings(max_examples=400, deadline=None)
@given(states)
def test_what_is_shown_is_what_the_rules_do(state: Permissions) -> None:
    for topic in FREE:
        for channel in CHANNELS:
            assert is_on(state, topic, channel, NOW) == allowed(state, topic.cls, topic.key, channel)


@settings(max_examples=600, deadline=None)
@given(states, cells)
def test_what_was_submitted_is_shown_and_obeyed_and_nothing_else_changes(
    state: Permissions, wanted: dict[Cell, bool]
) -> None:
    after = apply_cells(state, TOPICS, wanted, lambda cell: f"{cell.topic} by {cell.channel}", NOW)
    assert shown(after) == shown(state) | wanted
    touched = {cell for cell, on in wanted.items() if shown(state)[cell] != on}
    before, then = decided(state), decided(after)
    for (cls, topic, channel), verdict in then.items():
        if Cell(topic, channel) not in touched and topic != "orders":
            assert verdict == before[cls, topic, channel], (cls, topic, channel)
    assert after == apply_cells(after, TOPICS, wanted, lambda cell: "other", NOW)


@settings(max_examples=300, deadline=None)
@given(states, cells)
def test_every_consent_that_is_added_is_one_of_these_cells_with_its_wording(
    state: Permissions, wanted: dict[Cell, bool]
) -> None:
    after = apply_cells(state, TOPICS, wanted, lambda cell: f"{cell.topic} by {cell.channel}", NOW)
    for record in set(after.consent) - set(state.consent):
        if record.status == "granted" and record.source == SOURCE and record.at == NOW and record.wording != "w-1":
            assert wanted[Cell(record.topic, record.channel)]
            assert record.wording == f"{record.topic} by {record.channel}"


def test_narrowest_opt_outs_and_narrowed_ones() -> None:
    granted = tuple(Consent(channel, "*", "granted", NOW - DAY) for channel in CHANNELS)

    def after(opt_outs: list[OptOut], wanted: dict[Cell, bool]) -> Permissions:
        return apply_cells(Permissions(tuple(opt_outs), granted), TOPICS, wanted, lambda cell: "w", NOW)

    news_sms = Cell("news", "sms")
    assert after([], {news_sms: False}).opt_outs == (OptOut(channel="sms", topic="news"),)
    assert after([OptOut(channel="sms", topic="news")], {news_sms: True}).opt_outs == ()
    # A whole channel becomes entries for the other topics, and what has no topic of today is withdrawn.
    narrowed = after([OptOut(channel="sms")], {news_sms: True})
    assert narrowed.opt_outs == (OptOut(channel="sms", topic="offers"), OptOut(channel="sms", topic="visits"))
    assert Consent("sms", "*", WITHDRAWN, NOW - 1, source=SOURCE) in narrowed.consent
    assert narrowed.consent[-1] == Consent("sms", "news", "granted", NOW, None, SOURCE, "w", "consent")
    # A whole topic becomes entries for the other channels, whether the customer has them today or not.
    kept = after([OptOut(topic="news")], {news_sms: True}).opt_outs
    assert OptOut(channel="whatsapp", topic="news") in kept and OptOut(channel="sms", topic="news") not in kept
    assert all(entry.topic == "news" for entry in kept)
    # Of all, service messages stay off: the cell is one of marketing.
    assert OptOut(cls="service") in after([OptOut(all=True)], {news_sms: True}).opt_outs


def test_what_no_topic_names_stays_off_when_one_topic_comes_back() -> None:
    granted = (Consent("sms", "*", "granted", NOW - DAY),)
    state = Permissions((OptOut(cls="marketing"),), granted)
    after = apply_cells(state, TOPICS, {Cell("news", "sms"): True}, lambda cell: "w", NOW)
    assert not is_on(after, PolicyTopic("sweepstakes", "A topic of tomorrow"), "sms", NOW)
    assert not is_on(after, PolicyTopic("sweepstakes", "A topic of tomorrow"), "email", NOW)


def test_a_required_or_unknown_topic_is_no_cell() -> None:
    state = Permissions((), ())
    assert apply_cells(state, TOPICS, {Cell("orders", "sms"): False, Cell("x", "sms"): False}, str, NOW) == state


def test_service_messages_come_back_without_advertising() -> None:
    assert remove_class(Permissions((OptOut(all=True), OptOut(topic="news")), ()), "service").opt_outs == (
        OptOut(cls="marketing"),
        OptOut(topic="news"),
    )


def test_columns_are_the_channels_that_can_be_used() -> None:
    mail, number = Address("email", "a@example.org", True), Address("sms", "12", True, problem="too short")
    known = Preference("c-1", addresses=(mail, number))
    assert own_channels(known) == ["email"]
    assert topic_channels(PolicyTopic("news", "News"), ["email"]) == ["email"]
    in_app = PolicyTopic("news", "News", channels=("sms", "in_app", "email"))
    assert sorted(topic_channels(in_app, ["email"])) == ["email", "in_app"]
    assert list(read_cells(known, TOPICS, NOW)) == [Cell(topic.key, "email") for topic in FREE]


def test_strategies_reach_what_they_are_about() -> None:
    def tries() -> Iterator[bool]:
        for channel in CHANNELS:
            yield allowed(Permissions((), (Consent(channel, "*", "granted", 0),)), "marketing", "news", channel)
            yield not allowed(Permissions((), ()), "marketing", "news", channel)

    assert all(tries())

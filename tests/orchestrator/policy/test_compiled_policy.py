import pytest

from schemas.facts import FrequencyLimit
from schemas.times import DAY, HOUR
from services.orchestrator.policy.compiled_campaign import CompileCondition, CompiledCondition
from services.orchestrator.policy.compiled_policy import (
    CUSTOMER_CAP_ID,
    CUSTOMER_CAP_SLOT,
    compile_policy,
    customer_cap,
)
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.policy_builders import policy, vip

CAP = {"limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
OFFER = MessageAttributes("offer", "news", "email", "marketing", "advertise")
RULES = policy(
    week_start="sunday",
    frequency_caps=[{"id": "all", **CAP}, {"id": "sms", "scope": {"channels": ["sms"]}, **CAP}],
    min_gaps=[{"id": "gap", "scope": {"classes": ["transactional"]}, "gap": "1h"}],
    contact_history=[
        {
            "id": "asks",
            "scope": {"intents": ["ask_review"]},
            "never": {"after": {"contacts": {"intents": ["ask_feedback"]}}, "within": "1d"},
            "on_match": "drop",
        }
    ],
)


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        (MessageAttributes("a", "news", "sms", "marketing", "advertise"), ["all", "sms"]),
        (MessageAttributes("a", None, "sms", "transactional", "inform"), ["gap"]),
        (MessageAttributes("a", "news", "in_app", "service", "ask_review"), ["asks"]),
    ],
)
def test_entries_concern_candidates_of_their_scope(kind: MessageAttributes, entries: list[str]) -> None:
    concern = RULES.applicable_to(kind)
    caps, gaps = [cap.id for cap in concern.caps], [gap.id for gap in concern.gaps]
    assert [*caps, *gaps, *(history.id for history in concern.histories)] == entries
    assert RULES.applicable_to(kind) is concern


def test_history_counts_contacts_of_the_other_scope() -> None:
    asked = MessageAttributes("a", "news", "email", "service", "ask_feedback")
    slot = RULES.histories[0].slot
    assert RULES.counts_in_slot(asked, slot)
    assert not RULES.counts_in_slot(asked._replace(intent="ask_review"), slot)


def test_the_customers_wish_counts_marketing_but_not_in_app() -> None:
    offer = MessageAttributes("a", "news", "email", "marketing", "advertise")
    assert RULES.counts_in_slot(offer, CUSTOMER_CAP_SLOT)
    assert CUSTOMER_CAP_SLOT in RULES.applicable_to(offer).slots
    assert not RULES.counts_in_slot(offer._replace(channel="in_app"), CUSTOMER_CAP_SLOT)
    assert not RULES.counts_in_slot(offer._replace(cls="service"), CUSTOMER_CAP_SLOT)


def noting(tried: list[str]) -> CompileCondition:
    """Compiles any condition, and notes it."""

    def compile_condition(text: str) -> CompiledCondition:
        tried.append(text)
        return vip

    return compile_condition


def test_the_week_starts_where_the_document_says() -> None:
    assert RULES.week_start == 6
    assert policy().week_start == 0
    assert [each.name for each in policy(zone="Asia/Tokyo").unknown_zones] == ["Asia/Tokyo"]


def test_conditions_of_situations_are_tried_when_asked_for() -> None:
    document = policy(situations=[{"kind": "x", "opens": [{"event": "a", "when": "nonsense"}]}]).document
    tried: list[str] = []
    compile_policy(document, 1, noting(tried))
    assert tried == ["nonsense"]


def test_what_is_remembered_of_kinds_is_bounded() -> None:
    rules = policy()
    for number in range(4096):
        rules.slot_mask(OFFER._replace(campaign=f"c{number}"))
        rules.applicable_to(OFFER._replace(campaign=f"c{number}"))
    assert (len(rules._slot_masks), len(rules._applicable)) == (4096, 4096)
    rules.slot_mask(OFFER)
    rules.applicable_to(OFFER)
    assert (len(rules._slot_masks), len(rules._applicable)) == (1, 1)
    assert rules.slot_mask(OFFER) == 1 << CUSTOMER_CAP_SLOT


FULL = policy(
    zone="Asia/Tokyo",
    unknown_zones=["Etc/UTC", "Europe/Berlin"],
    frequency_caps=[
        {"id": "a", "limit": 2, "window": {"rolling": "1h"}, "on_exceed": "drop"},
        {"id": "b", "limit": 3, "window": {"calendar": "week", "zone": "org"}, "on_exceed": "defer"},
        {"id": "c", "scope": {"channels": ["sms"]}, "limit": 1, "window": {"calendar": "day"}, "on_exceed": "defer"},
    ],
    min_gaps=[{"id": "g", "gap": "2h"}],
    situations=[{"kind": "x", "opens": [{"event": "a"}], "lapses": "3d"}],
    contact_history=[
        {
            "id": "h",
            "scope": {"intents": ["ask_review"]},
            "never": {"after": {"situation": "x"}, "within": "1d", "while_open": True},
            "on_match": "defer",
        }
    ],
    quiet_hours=[{"id": "q", "days": ["tue"], "from": "21:00", "to": "08:30", "scope": {"topics": ["news"]}}],
    shadow=["a"],
    fail_open=["receipt"],
)


def test_a_document_becomes_ready_to_judge() -> None:
    assert (FULL.version, FULL.zone.name, FULL.required_topics) == (1, "Asia/Tokyo", frozenset({"account"}))
    assert [each.name for each in FULL.unknown_zones] == ["Etc/UTC", "Europe/Berlin"]
    assert (FULL.shadow_ids, FULL.fail_open_campaigns) == (frozenset({"a"}), frozenset({"receipt"}))
    caps = [
        (
            each.id,
            each.limit,
            each.rolling,
            each.period,
            each.in_customer_zone,
            each.drops,
            each.excludes_siblings,
            each.look_back,
        )
        for each in FULL.caps
    ]
    assert caps == [
        ("a", 2, HOUR, "", True, True, True, HOUR),
        ("b", 3, None, "week", False, False, True, 9 * DAY),
        ("c", 1, None, "day", True, False, False, 3 * DAY),
    ]
    (gap,), (history,), (quiet,) = FULL.gaps, FULL.histories, FULL.quiet_windows
    assert (gap.id, gap.gap) == ("g", 2 * HOUR)
    assert (history.id, history.contacts, history.situation, history.within) == ("h", None, "x", DAY)
    assert (history.while_open, history.lapses, history.drops) == (True, 3 * DAY, False)
    assert (quiet.id, quiet.days, quiet.start, quiet.end) == ("q", frozenset({1}), 21 * HOUR, 8 * HOUR + HOUR // 2)


def test_each_entry_has_its_scope_and_a_slot_of_its_own() -> None:
    (gap,), (history,), (quiet,) = FULL.gaps, FULL.histories, FULL.quiet_windows
    scopes = [*(cap.scope for cap in FULL.caps), gap.scope, history.scope, quiet.scope]
    assert [scope.covers(OFFER._replace(channel="sms")) for scope in scopes] == [True, True, True, True, False, True]
    assert len({CUSTOMER_CAP_SLOT, *(cap.slot for cap in FULL.caps), gap.slot, history.slot}) == 6


def test_concern_names_the_slots_that_are_counted_and_those_in_which_siblings_count() -> None:
    found = RULES.applicable_to(MessageAttributes("a", "news", "sms", "marketing", "ask_review"))
    everything, sms = RULES.caps
    assert found.slots == {CUSTOMER_CAP_SLOT, everything.slot, sms.slot, RULES.histories[0].slot}
    assert found.sibling_slots == {sms.slot}
    assert RULES.applicable_to(MessageAttributes("a", "news", "in_app", "service", "inform")).slots == frozenset()
    assert RULES.applicable_to(MessageAttributes("a", None, "sms", "transactional", "inform")).slots == {
        RULES.gaps[0].slot
    }


def test_a_wish_is_a_calendar_cap_of_the_customer_that_defers() -> None:
    found = customer_cap(FrequencyLimit(2, "week"))
    assert (found.id, found.limit, found.rolling, found.period, found.slot) == (
        CUSTOMER_CAP_ID,
        2,
        None,
        "week",
        CUSTOMER_CAP_SLOT,
    )
    assert (found.in_customer_zone, found.drops, found.excludes_siblings) == (True, False, True)


def test_a_zone_that_is_none_is_refused() -> None:
    document = RULES.document.model_copy(update={"zone": "No/Where"})
    with pytest.raises(ValueError, match="No/Where"):
        compile_policy(document, 1)


def test_conditions_that_close_situations_are_tried_as_well_and_absent_ones_are_not() -> None:
    kind = {
        "kind": "x",
        "opens": [{"event": "a"}, {"event": "a", "when": "open"}],
        "closes": [{"event": "b", "when": "shut"}],
    }
    tried: list[str] = []
    compile_policy(policy(situations=[kind]).document, 1, noting(tried))
    assert tried == ["open", "shut"]


def test_what_is_remembered_is_no_difference_between_policies() -> None:
    one, other = policy(), policy()
    one.slot_mask(OFFER)
    one.applicable_to(OFFER)
    assert one == other

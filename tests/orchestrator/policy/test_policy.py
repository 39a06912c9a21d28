import pytest

from schemas.facts import Frequency
from schemas.times import DAY, HOUR
from services.orchestrator.policy.compiled_policy import CUSTOMER_WISH, WISH_SLOT, compile_policy, wish
from services.orchestrator.policy.scope import Kind
from tests.orchestrator.policy.build import policy

CAP = {"limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
OFFER = Kind("offer", "news", "email", "marketing", "advertise")
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
        (Kind("a", "news", "sms", "marketing", "advertise"), ["all", "sms"]),
        (Kind("a", None, "sms", "transactional", "inform"), ["gap"]),
        (Kind("a", "news", "in_app", "service", "ask_review"), ["asks"]),
    ],
)
def test_entries_concern_candidates_of_their_scope(kind: Kind, entries: list[str]) -> None:
    concern = RULES.concern(kind)
    caps, gaps = [cap.id for cap in concern.caps], [gap.id for gap in concern.gaps]
    assert [*caps, *gaps, *(history.id for history in concern.histories)] == entries
    assert RULES.concern(kind) is concern


def test_history_counts_contacts_of_the_other_scope() -> None:
    asked = Kind("a", "news", "email", "service", "ask_feedback")
    slot = RULES.histories[0].slot
    assert RULES.counts(asked, slot)
    assert not RULES.counts(asked._replace(intent="ask_review"), slot)


def test_the_customers_wish_counts_marketing_but_not_in_app() -> None:
    offer = Kind("a", "news", "email", "marketing", "advertise")
    assert RULES.counts(offer, WISH_SLOT)
    assert WISH_SLOT in RULES.concern(offer).slots
    assert not RULES.counts(offer._replace(channel="in_app"), WISH_SLOT)
    assert not RULES.counts(offer._replace(cls="service"), WISH_SLOT)


def test_the_week_starts_where_the_document_says() -> None:
    assert RULES.week_start == 6
    assert policy().week_start == 0
    assert [each.name for each in policy(zone="Asia/Tokyo").unknown_zones] == ["Asia/Tokyo"]


def test_conditions_of_situations_are_tried_when_asked_for() -> None:
    document = policy(situations=[{"kind": "x", "opens": [{"event": "a", "when": "nonsense"}]}]).document
    tried: list[str] = []
    compile_policy(document, 1, lambda text: tried.append(text) or (lambda _: True))  # type: ignore[func-returns-value]
    assert tried == ["nonsense"]


def test_what_is_remembered_of_kinds_is_bounded() -> None:
    rules = policy()
    for number in range(4096):
        rules.slots(OFFER._replace(campaign=f"c{number}"))
        rules.concern(OFFER._replace(campaign=f"c{number}"))
    assert (len(rules._slots), len(rules._concerns)) == (4096, 4096)
    rules.slots(OFFER)
    rules.concern(OFFER)
    assert (len(rules._slots), len(rules._concerns)) == (1, 1)
    assert rules.slots(OFFER) == 1 << WISH_SLOT


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
    assert (FULL.version, FULL.zone.name, FULL.required) == (1, "Asia/Tokyo", frozenset({"account"}))
    assert [each.name for each in FULL.unknown_zones] == ["Etc/UTC", "Europe/Berlin"]
    assert (FULL.shadow, FULL.fail_open) == (frozenset({"a"}), frozenset({"receipt"}))
    caps = [
        (each.id, each.limit, each.rolling, each.period, each.of_customer, each.drops, each.one_touch, each.span)
        for each in FULL.caps
    ]
    assert caps == [
        ("a", 2, HOUR, "", True, True, True, HOUR),
        ("b", 3, None, "week", False, False, True, 9 * DAY),
        ("c", 1, None, "day", True, False, False, 3 * DAY),
    ]
    (gap,), (history,), (quiet,) = FULL.gaps, FULL.histories, FULL.quiet
    assert (gap.id, gap.gap) == ("g", 2 * HOUR)
    assert (history.id, history.contacts, history.situation, history.within) == ("h", None, "x", DAY)
    assert (history.while_open, history.lapses, history.drops) == (True, 3 * DAY, False)
    assert (quiet.id, quiet.days, quiet.start, quiet.end) == ("q", frozenset({1}), 21 * HOUR, 8 * HOUR + HOUR // 2)


def test_each_entry_has_its_scope_and_a_slot_of_its_own() -> None:
    (gap,), (history,), (quiet,) = FULL.gaps, FULL.histories, FULL.quiet
    scopes = [*(cap.scope for cap in FULL.caps), gap.scope, history.scope, quiet.scope]
    assert [scope.covers(OFFER._replace(channel="sms")) for scope in scopes] == [True, True, True, True, False, True]
    assert len({WISH_SLOT, *(cap.slot for cap in FULL.caps), gap.slot, history.slot}) == 6


def test_concern_names_the_slots_that_are_counted_and_those_in_which_siblings_count() -> None:
    found = RULES.concern(Kind("a", "news", "sms", "marketing", "ask_review"))
    everything, sms = RULES.caps
    assert found.slots == {WISH_SLOT, everything.slot, sms.slot, RULES.histories[0].slot}
    assert found.touchy == {sms.slot}
    assert RULES.concern(Kind("a", "news", "in_app", "service", "inform")).slots == frozenset()
    assert RULES.concern(Kind("a", None, "sms", "transactional", "inform")).slots == {RULES.gaps[0].slot}


def test_a_wish_is_a_calendar_cap_of_the_customer_that_defers() -> None:
    found = wish(Frequency(2, "week"))
    assert (found.id, found.limit, found.rolling, found.period, found.slot) == (
        CUSTOMER_WISH,
        2,
        None,
        "week",
        WISH_SLOT,
    )
    assert (found.of_customer, found.drops, found.one_touch) == (True, False, True)


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
    compile_policy(policy(situations=[kind]).document, 1, lambda text: tried.append(text) or (lambda _: True))  # type: ignore[func-returns-value]
    assert tried == ["open", "shut"]


def test_what_is_remembered_is_no_difference_between_policies() -> None:
    one, other = policy(), policy()
    one.slots(OFFER)
    one.concern(OFFER)
    assert one == other

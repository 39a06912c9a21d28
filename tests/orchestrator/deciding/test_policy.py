import pytest

from services.orchestrator.deciding.policy import WISH_SLOT, compile_policy
from services.orchestrator.deciding.scope import Kind
from tests.orchestrator.deciding.build import policy

CAP = {"limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
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

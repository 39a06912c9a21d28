import pytest

from schemas.facts import Quarantine
from schemas.quarantine import unknown_record
from schemas.reasons import TITLES, find_declaration
from schemas.times import HOUR
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.quarantine import rule
from services.orchestrator.policy.rules.quarantine.declaration import DECLARATION
from tests.support.policy_builders import at, campaign, facts, judged, only, preference, touch, try_on

NOON = at("02 12:00")
ONE = Quarantine("customer.events", 3, 7, NOON, NOON + 24 * HOUR)
LATER = Quarantine("customer.events", 3, 8, NOON + HOUR, NOON + 25 * HOUR)


def quarantined(*known: Quarantine) -> Facts:
    return facts(chosen=preference(quarantines=known))


@pytest.mark.parametrize(
    ("by_preference", "by_suppression", "when", "until"),
    [
        ((), (), "02 12:00", None),
        ((ONE,), (), "02 11:59:59", None),
        ((ONE,), (), "02 12:00", ONE.until),
        ((), (ONE,), "02 12:00", ONE.until),
        ((ONE,), (LATER,), "02 13:00", LATER.until),  # the last one to end
        ((ONE, LATER), (), "02 12:30", ONE.until),
        ((ONE,), (), "03 12:00", None),
    ],
)
def test_table(
    by_preference: tuple[Quarantine, ...], by_suppression: tuple[Quarantine, ...], when: str, until: int | None
) -> None:
    known = facts(chosen=preference(quarantines=by_preference), quarantines=by_suppression)
    found = only(judged(rule, try_on(touch(), known), known, when))
    assert found == (("allow", None, None, None) if until is None else ("deny", "quarantined", None, until))


def test_a_required_topic_is_no_exception() -> None:
    known = facts(chosen=preference(quarantines=(ONE,)))
    notice = campaign("notice", cls="service", topic="account")
    assert only(judged(rule, try_on(touch(notice), known), known, "02 12:00"))[:2] == ("deny", "quarantined")


def test_it_does_not_concern_transactional_messages() -> None:
    assert {"service", "marketing"} == DECLARATION.classes


def test_the_words_blame_no_customer() -> None:
    known = facts(chosen=preference(quarantines=(ONE,)))
    (verdict,) = judged(rule, try_on(touch(), known), known, "02 12:00")
    reason = find_declaration(verdict)
    assert reason is not None and reason.explain is not None
    assert reason.explain(verdict) == (
        "an event of 2026-03-02T12:00:00Z could not be read, and may have been the customer's refusal; "
        "this ends when its dead letter is redriven or discarded, or on 2026-03-03T12:00:00Z"
    )
    assert "paused" not in TITLES["quarantined"]


def test_one_of_a_version_that_kept_no_record_ends_by_itself_and_nobody_is_sent_to_its_letter() -> None:
    carried_over = unknown_record(NOON, ONE.until)
    found = []
    for known in (quarantined(carried_over), quarantined(carried_over, ONE)):
        (verdict,) = judged(rule, try_on(touch(), known), known, "02 12:00")
        reason = find_declaration(verdict)
        assert reason is not None and reason.explain is not None and reason.remedies is not None
        found.append((reason.explain(verdict).rpartition("; ")[2], len(list(reason.remedies(verdict)))))
    assert found == [
        ("this ends on 2026-03-03T12:00:00Z", 0),
        ("this ends when its dead letter is redriven or discarded, or on 2026-03-03T12:00:00Z", 1),
    ]

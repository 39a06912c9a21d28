import pytest

from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.rules.reentry import rule
from tests.support.policy_builders import ALLOW, at, campaign, contact, judged, ledger, only, touch, try_on

ONCE = campaign(reentry="once")
EVERY = campaign(reentry="every 2d")
DUPLICATE = ("deny", "duplicate")


@pytest.mark.parametrize(
    ("of", "earlier", "now", "expected"),
    [
        (ONCE, contact("01 10:00", of=ONCE), "20 10:00", DUPLICATE),  # ever is ever
        (ONCE, contact("01 10:00"), "20 10:00", ALLOW[:2]),  # another campaign's
        (ONCE, contact("02 09:00", of=ONCE, event_id="e-1"), "02 10:00", ALLOW[:2]),  # the same event's
        (EVERY, contact("02 10:00", of=EVERY), "04 09:59:59", DUPLICATE),
        (EVERY, contact("02 10:00", of=EVERY), "04 10:00", ALLOW[:2]),  # exactly two days apart
        (EVERY, contact("06 10:00", of=EVERY), "04 10:00:01", DUPLICATE),  # on the other side as well
        (EVERY, contact("06 10:00", of=EVERY), "04 10:00", ALLOW[:2]),
        (EVERY, contact("04 14:00", of=EVERY, state="planned", since="02 00:00"), "04 12:00", DUPLICATE),  # a senior
    ],
)
def test_table(of: object, earlier: Contact, now: str, expected: tuple[object, ...]) -> None:
    tried = try_on(touch(of), past=ledger(earlier))  # type: ignore[arg-type]
    assert only(judged(rule, tried, now=now))[:2] == expected


def test_every_tells_from_when_it_would_be_allowed() -> None:
    tried = try_on(touch(EVERY), past=ledger(contact("02 10:00", of=EVERY)))
    assert only(judged(rule, tried, now="03 10:00"))[3] == at("04 10:00")


@pytest.mark.parametrize("of", [ONCE, EVERY])
def test_a_ledger_that_has_forgotten_too_much_fails_closed(of: object) -> None:
    tried = try_on(touch(of), past=Ledger(complete_from=at("09 10:00")))  # type: ignore[arg-type]
    with pytest.raises(Incomplete):
        judged(rule, tried, now="10 10:00")


def test_a_refusal_shows_the_contacts_in_the_way() -> None:
    past = ledger(*(contact(each, of=ONCE) for each in ("01 10:00", "01 11:00")))
    assert judged(rule, try_on(touch(ONCE), past=past))[0].evidence == {
        "reentry": "once",
        "last": "2026-03-01T11:00:00Z",
    }
    past = ledger(*(contact(each, of=EVERY) for each in ("01 10:00", "02 11:00", "03 10:00", "05 10:00")))
    assert judged(rule, try_on(touch(EVERY), past=past), now="03 10:00")[0].evidence == {
        "reentry": "every 2d",
        "near": ["2026-03-02T11:00:00Z", "2026-03-03T10:00:00Z"],
    }


def test_at_the_gate_the_distance_is_that_of_the_mark_and_it_looks_no_further_back() -> None:
    past = ledger(contact("01 10:00", of=EVERY))
    assert only(judged(rule, try_on(touch(EVERY), past=past, marked="03 09:59"), now="03 10:01"))[:2] == DUPLICATE
    reaches = try_on(touch(EVERY), past=Ledger(complete_from=at("01 09:59")), marked="03 09:59")
    assert only(judged(rule, reaches, now="03 10:00"))[0] == "allow"

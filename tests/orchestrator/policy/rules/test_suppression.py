import pytest

from schemas.facts import Address, SuppressionEntry
from services.orchestrator.policy.rules.suppression import rule
from tests.support.policy_builders import at, campaign, facts, judged, only, preference, touch, try_on

START, END = at("02 08:00"), at("02 12:00")
BOTH = (Address("email", "a@example.org", True), Address("email", "b@example.org", True))
OFFER = campaign(channels=["email", "in_app"])
RECEIPT = campaign("receipt", cls="transactional", topic=None)


def entry(
    channel: str | None = None,
    topic: str | None = None,
    classes: tuple[str, ...] | None = None,
    address: int | None = None,
    expires: int | None = None,
    reason: str = "manual",
) -> SuppressionEntry:
    return SuppressionEntry(channel, topic, classes, START, expires, reason, address)


def undecided(address: int | None = None) -> SuppressionEntry:
    return entry(address=address, classes=("marketing", "service"), reason="undecided_reply")


@pytest.mark.parametrize(
    ("of", "channel", "entries", "now", "verdict"),
    [
        (OFFER, "email", (entry(),), "02 10:00", "deny"),
        (RECEIPT, "email", (entry(),), "02 10:00", "deny"),  # all classes
        (OFFER, "email", (entry(),), "02 07:59:59", "allow"),  # not yet
        (OFFER, "email", (entry(),), "02 08:00", "deny"),
        (OFFER, "email", (entry(expires=END),), "02 11:59:59", "deny"),
        (OFFER, "email", (entry(expires=END),), "02 12:00", "allow"),  # no longer
        (OFFER, "email", (entry("push"),), "02 10:00", "allow"),
        (OFFER, "email", (entry("email"),), "02 10:00", "deny"),
        (OFFER, "email", (entry(classes=("service", "marketing")),), "02 10:00", "deny"),
        (OFFER, "email", (entry(topic="account"),), "02 10:00", "allow"),
        (OFFER, "email", (entry(topic="news"),), "02 10:00", "deny"),
        (RECEIPT, "email", (entry(classes=("marketing",)),), "02 10:00", "allow"),
        (OFFER, "email", (entry(address=0),), "02 10:00", "allow"),  # the other address is free
        (OFFER, "email", (entry(address=0), entry(address=1)), "02 10:00", "deny"),
        (OFFER, "in_app", (entry(address=0), entry(address=1)), "02 10:00", "allow"),  # needs no address
        (OFFER, "in_app", (entry(),), "02 10:00", "deny"),
    ],
)
def test_table(of: object, channel: str, entries: tuple[SuppressionEntry, ...], now: str, verdict: str) -> None:
    known = facts(chosen=preference(addresses=BOTH), entries=entries)
    found = only(judged(rule, try_on(touch(of), known, channel=channel), known, now))  # type: ignore[arg-type]
    assert found[:2] == (verdict, "suppression_list" if verdict == "deny" else None)


def test_it_tells_when_the_first_address_is_free_again() -> None:
    entries = (entry(address=0, expires=END), entry(address=1, expires=at("02 11:00")))
    known = facts(chosen=preference(addresses=BOTH), entries=entries)
    assert only(judged(rule, try_on(touch(), known), known))[3] == at("02 11:00")


def test_at_the_gate_an_entry_counts_although_its_time_lies_slightly_ahead() -> None:
    known = facts(entries=(entry(),))
    assert only(judged(rule, try_on(touch(), known, marked="02 07:58"), known, "02 07:58"))[0] == "deny"


@pytest.mark.parametrize(
    ("entries", "reasons", "until"),
    [
        ((entry(), entry(expires=END)), ["manual"], None),  # one of them never expires
        ((entry(expires=END), entry(expires=END + 1)), ["manual"], END + 1),  # the last of them
        ((entry(address=0), entry(address=1, expires=END)), ["manual"], END),  # the first address that is free again
        ((entry(address=0), entry(address=1)), ["manual"], None),
        ((entry(address=0), entry(address=1, expires=END), entry(expires=END)), ["manual"], END),  # the customer's own
    ],
)
def test_a_refusal_says_why_how_many_entries_and_until_when(
    entries: tuple[SuppressionEntry, ...], reasons: list[str], until: int | None
) -> None:
    known = facts(chosen=preference(addresses=BOTH), entries=entries)
    found = judged(rule, try_on(touch(OFFER), known), known)[0]
    own = sum(each.address is None for each in entries)
    covers = "customer" if own else "address"
    evidence = {"reasons": reasons, "entries": own or len(entries), "covers": covers}
    assert (found.evidence, found.until) == (evidence, until)


@pytest.mark.parametrize(
    ("of", "entries", "verdict"),
    [
        (OFFER, (undecided(0), undecided(1)), "defer"),
        (OFFER, (undecided(0), entry(address=1)), "defer"),
        (OFFER, (undecided(0), entry(address=0), entry(address=1)), "deny"),
        (OFFER, (undecided(0),), "allow"),  # the other address is free
        (OFFER, (undecided(),), "defer"),
        (OFFER, (undecided(), entry()), "deny"),
        (RECEIPT, (undecided(0), undecided(1)), "allow"),
    ],
)
def test_what_nobody_has_decided_parks_what_nothing_else_refuses(
    of: object, entries: tuple[SuppressionEntry, ...], verdict: str
) -> None:
    known = facts(chosen=preference(addresses=BOTH), entries=entries)
    candidate = try_on(touch(of), known, channel="email")  # type: ignore[arg-type]
    (found,) = judged(rule, candidate, known, "02 10:00")
    assert found.verdict == verdict
    if verdict == "defer":
        assert (found.reason, found.until) == ("undecided_reply", None)
        (cause,) = rule.list_wait_causes(found, candidate, known, at("02 10:00"))
        assert cause == ("undecided_reply", "email", at("02 14:00"))


def test_reasons_are_told_once_and_in_order() -> None:
    entries = tuple(SuppressionEntry(None, None, None, START, None, reason) for reason in ("stop", "bounce", "stop"))
    known = facts(chosen=preference(addresses=BOTH), entries=entries)
    assert judged(rule, try_on(touch(OFFER), known), known)[0].evidence["reasons"] == ["bounce", "stop"]

import pytest

from schemas.facts import Consent
from services.orchestrator.policy.rules.consent import rule
from services.orchestrator.policy.rules.consent.declaration import DECLARATION
from tests.support.policy_builders import at, campaign, facts, judged, only, policy, preference, touch, try_on


def record(
    time: str, status: str = "granted", topic: str = "news", channel: str = "email", expires: str | None = None
) -> Consent:
    return Consent(channel, topic, status, at(time), None if expires is None else at(expires))


@pytest.mark.parametrize(
    ("records", "now", "verdict"),
    [
        ([], "02 10:00", "deny"),  # no record is no consent
        ([record("01 10:00")], "02 10:00", "allow"),
        ([record("02 10:00")], "02 10:00", "allow"),  # from its own instant on
        ([record("02 10:00:01")], "02 10:00", "deny"),  # not yet
        ([record("01 10:00", channel="push")], "02 10:00", "deny"),
        ([record("01 10:00", topic="account")], "02 10:00", "deny"),
        ([record("01 10:00", topic="*")], "02 10:00", "allow"),
        ([record("01 10:00"), record("01 11:00", "withdrawn", "*")], "02 10:00", "deny"),  # the newest decides
        ([record("01 11:00"), record("01 10:00", "withdrawn", "*")], "02 10:00", "allow"),
        ([record("01 10:00", "refused"), record("01 10:00")], "02 10:00", "deny"),  # at equal times the refusal
        ([record("01 10:00"), record("01 10:00", "refused")], "02 10:00", "deny"),
        ([record("01 10:00", expires="02 12:00")], "02 11:59:59", "allow"),
        ([record("01 10:00", expires="02 12:00")], "02 12:00", "deny"),
        ([record("01 09:00"), record("01 10:00", expires="02 12:00")], "02 12:00", "deny"),  # older ones do not help
        ([record("01 10:00", "pending")], "02 10:00", "deny"),  # anything but granted
    ],
)
def test_the_newest_record_that_matches_decides(records: list[Consent], now: str, verdict: str) -> None:
    known = facts(chosen=preference(consent=tuple(records)))
    found = only(judged(rule, try_on(touch(), known), known, now))
    assert found == (verdict, "no_consent" if verdict == "deny" else None, None, None)


def test_evidence_of_a_consent_is_when_it_was_granted() -> None:
    known = facts(chosen=preference(consent=(record("01 10:00"),)))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == {"granted_at": "2026-03-01T10:00:00Z"}


def test_at_the_gate_a_refusal_slightly_ahead_counts_and_a_grant_does_not() -> None:
    for records, verdict in (
        ((record("01 10:00"), record("02 10:01", "withdrawn")), "deny"),
        ((record("01 10:00", "withdrawn"), record("02 10:01")), "deny"),
    ):
        known = facts(chosen=preference(consent=records))
        assert only(judged(rule, try_on(touch(), known, marked="02 10:00"), known))[0] == verdict


def test_it_concerns_marketing_alone() -> None:
    assert {"marketing"} == DECLARATION.classes


@pytest.mark.parametrize(
    ("records", "evidence"),
    [
        ((), {}),
        ((record("01 10:00", "withdrawn"),), {"status": "withdrawn", "at": "2026-03-01T10:00:00Z"}),
        ((record("01 10:00", expires="02 09:00"),), {"status": "granted", "expired_at": "2026-03-02T09:00:00Z"}),
        # of two grants at one instant the one that expires earlier decides, in whatever order they come
        (
            (record("01 10:00", expires="02 09:00"), record("01 10:00", expires="02 08:00")),
            {"status": "granted", "expired_at": "2026-03-02T08:00:00Z"},
        ),
        (
            (record("01 10:00", expires="02 08:00"), record("01 10:00", expires="02 09:00")),
            {"status": "granted", "expired_at": "2026-03-02T08:00:00Z"},
        ),
        (
            (record("01 10:00"), record("01 10:00", expires="02 08:00")),
            {"status": "granted", "expired_at": "2026-03-02T08:00:00Z"},
        ),
        (
            (record("01 10:00", expires="02 08:00"), record("01 10:00")),
            {"status": "granted", "expired_at": "2026-03-02T08:00:00Z"},
        ),
        # a refusal at the instant of another refusal changes nothing
        (
            (record("01 10:00", "withdrawn"), record("01 10:00", "refused")),
            {"status": "withdrawn", "at": "2026-03-01T10:00:00Z"},
        ),
    ],
)
def test_a_refusal_shows_the_record_that_decides(records: tuple[Consent, ...], evidence: dict[str, object]) -> None:
    known = facts(chosen=preference(consent=records))
    assert judged(rule, try_on(touch(), known), known)[0].evidence == {**evidence, "channel": "email", "topic": "news"}


@pytest.mark.parametrize("traits", [frozenset({"seen"}), frozenset({"*"})], ids=["named", "any"])
@pytest.mark.parametrize("basis", ["soft_opt_in", "implied", "legitimate_interest", None])
def test_behavioural_traits_take_the_consent_of_who_said_yes(basis: str | None, traits: frozenset[str]) -> None:
    rules = policy(traits=[{"name": "seen", "sensitivity": "behavioural"}])
    consents = tuple(Consent("email", "news", "granted", at("01 10:00"), basis=each) for each in (basis, "consent"))
    for given, verdict in zip(consents, ("deny", "allow"), strict=True):
        known = facts(rules, preference(consent=(given,)))
        assert only(judged(rule, try_on(touch(campaign(traits=traits)), known), known))[0] == verdict
        other = try_on(touch(campaign(traits=frozenset({"name"}))), known)
        assert only(judged(rule, other, known))[0] == "allow", "it uses no behavioural trait"
    (denied,) = judged(
        rule,
        try_on(touch(campaign(traits=traits)), facts(rules, preference(consent=consents[:1]))),
        facts(rules, preference(consent=consents[:1])),
    )
    explain = DECLARATION.reasons[0].explain
    assert (
        explain is not None
        and f"has the basis {basis or 'none'}, and the campaign uses behavioural traits" in explain(denied)
    )


def test_a_new_version_of_the_policy_decides_what_is_behavioural() -> None:
    given = preference(consent=(Consent("email", "news", "granted", at("01 10:00"), basis="soft_opt_in"),))
    reads = campaign(traits=frozenset({"seen"}))
    known = facts(policy(), given)
    assert only(judged(rule, try_on(touch(reads), known), known))[0] == "allow"

from typing import Any

import pytest

from schemas.facts import HoldFact
from schemas.reasons import RULES as NAMES
from services.orchestrator.policy import evaluate as judging
from services.orchestrator.policy.evaluate import evaluate_rules
from services.orchestrator.policy.plan import plan_candidate
from tests.support.policy_builders import at, campaign, contact, facts, ledger, policy, preference, touch, try_on

RECEIPT: dict[str, Any] = {"topic": None, "audience": "broken"}
CAP = {"id": "strict", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}


def test_all_rules_run_whatever_the_others_say() -> None:
    known = facts(chosen=preference(consent=(), addresses=()))
    found = evaluate_rules(try_on(touch(campaign(active=False)), known), known, at("20 10:00"))
    assert [verdict.rule for verdict in found.verdicts] == list(NAMES)
    assert [verdict.rule for verdict in found.denies] == ["campaign", "expiry", "address", "consent"]


def test_rules_that_do_not_apply_to_a_class_allow() -> None:
    known = facts(chosen=preference(consent=()))
    of = campaign("receipt", cls="transactional", topic=None)
    found = evaluate_rules(try_on(touch(of), known), known, at("02 10:00"))
    assert found.denies == ()
    assert [verdict.rule for verdict in found.verdicts] == list(NAMES)


def test_a_rule_that_raises_fails_closed() -> None:
    found = evaluate_rules(try_on(touch(campaign(audience="broken"))), facts(), at("02 10:00"))
    assert [(verdict.rule, verdict.reason) for verdict in found.fails] == [("audience", "policy_unavailable")]
    assert found.fails[0].evidence == {"error": "TypeError"}


def test_any_rule_may_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(judging, "EVALUATORS_BY_CLASS", {"marketing": (("broken", evaluate, ()),)})
    assert evaluate_rules(try_on(touch()), facts(), at("02 10:00")).fails[0].rule == "broken"


@pytest.mark.parametrize(
    ("named", "cls", "outcome"),
    [([], "transactional", "fail"), (["receipt"], "transactional", "send"), (["receipt"], "service", "fail")],
)
def test_only_a_named_transactional_campaign_fails_open(named: list[str], cls: str, outcome: str) -> None:
    known = facts(policy(fail_open=named))
    result = plan_candidate(try_on(touch(campaign("receipt", cls=cls, **RECEIPT)), known), known, at("02 10:00"))
    assert result.outcome == outcome
    noted = [verdict for verdict in result.verdicts if verdict.verdict == "fail"]
    assert len(noted) == 1
    assert noted[0].evidence.get("fail_open", False) is (outcome == "send")


def test_a_deny_is_stricter_than_a_fail_and_a_fail_than_a_defer() -> None:
    quiet = {"id": "always", "from": "09:00", "to": "11:00"}
    broken = touch(campaign(audience="broken"))
    waits = facts(policy(quiet_hours=[quiet]))
    assert plan_candidate(try_on(broken, waits), waits, at("02 10:00")).outcome == "fail"
    denied = facts(policy(quiet_hours=[quiet]), preference(consent=()))
    result = plan_candidate(try_on(broken, denied), denied, at("02 10:00"))
    assert (result.outcome, result.reason) == ("suppress", "no_consent")


def test_a_shadow_rule_is_seen_and_decides_nothing() -> None:
    known = facts(policy(frequency_caps=[CAP], shadow=["strict"]))
    found = evaluate_rules(try_on(touch(), known, ledger(contact("02 09:00"))), known, at("02 10:00"))
    shadowed = next(verdict for verdict in found.verdicts if verdict.id == "strict")
    assert (shadowed.verdict, shadowed.evidence["shadow"]) == ("deny", True)
    assert found.denies == found.defers == found.fails == ()


def test_a_hold_is_no_rule_that_can_be_shadowed() -> None:
    known = facts(policy(frequency_caps=[CAP], shadow=["strict"]), holds=(HoldFact("strict", "drop", 0),))
    assert [verdict.rule for verdict in evaluate_rules(try_on(touch(), known), known, at("02 10:00")).denies] == [
        "hold"
    ]


def test_who_fails_open_is_still_denied_and_deferred() -> None:
    receipt = campaign("receipt", cls="transactional", topic=None)
    no_address = facts(policy(fail_open=["receipt"]), preference(addresses=()))
    assert [
        each.rule for each in evaluate_rules(try_on(touch(receipt), no_address), no_address, at("02 10:00")).denies
    ] == ["address"]
    quiet = policy(
        fail_open=["receipt"],
        quiet_hours=[{"id": "q", "scope": {"classes": ["transactional"]}, "from": "09:00", "to": "11:00"}],
    )
    found = evaluate_rules(try_on(touch(receipt), facts(quiet)), facts(quiet), at("02 10:00"))
    assert [each.rule for each in found.defers] == ["quiet_hours"]

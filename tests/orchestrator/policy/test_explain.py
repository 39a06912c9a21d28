from schemas.decision import Decision
from schemas.times import Instant
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.explain import blocking_verdicts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.rules.registry import RULES_BY_ID
from tests.support.policy_builders import at, campaign, contact, facts, ledger, policy, preference, touch

BOTH = campaign(channels=["email", "push"])


def explain(triggered: TriggeredCampaign, known: Facts, past: Ledger, now: Instant) -> list[Decision]:
    return list(decide([triggered], known, past, now).decisions)


def test_every_channel_is_explained_with_all_verdicts() -> None:
    lines = explain(touch(BOTH), facts(chosen=preference(consent=())), Ledger.empty(), at("02 10:00"))
    assert [(line.channel, line.reason) for line in lines] == [("email", "no_consent"), ("push", "no_consent")]
    assert all({verdict.rule for verdict in line.verdicts} == set(RULES_BY_ID) for line in lines)
    assert [verdict.rule for verdict in blocking_verdicts(lines[0])] == ["consent"]


def test_its_own_planned_contact_does_not_stand_in_its_way_and_stays() -> None:
    rules = policy(frequency_caps=[{"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}])
    past = ledger(contact("02 12:00", of=BOTH, event_id="e-1", state="planned"))
    line = explain(touch(BOTH), facts(rules), past, at("02 10:00"))[0]
    assert line.outcome == "send"
    assert len(past) == 1


def test_shadow_rules_are_not_in_the_way() -> None:
    cap = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}
    known = facts(policy(frequency_caps=[cap], shadow=["cap"]))
    line = explain(touch(), known, ledger(contact("02 09:00")), at("02 10:00"))[0]
    assert (line.outcome, blocking_verdicts(line)) == ("send", [])


def test_what_fails_open_is_not_in_the_way_and_what_defers_is() -> None:
    receipt = campaign("receipt", cls="transactional", topic=None, audience="broken")
    quiet = {"id": "q", "scope": {"classes": ["transactional"]}, "from": "09:00", "to": "11:00"}
    known = facts(policy(fail_open=["receipt"], quiet_hours=[quiet]))
    line = explain(touch(receipt), known, Ledger.empty(), at("02 10:00"))[0]
    assert [verdict.rule for verdict in blocking_verdicts(line)] == ["quiet_hours"]

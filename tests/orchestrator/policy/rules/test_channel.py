from services.orchestrator.policy.rules.channel import rule
from tests.support.policy_builders import ALLOW, facts, judged, only, touch, try_on


def test_a_channel_without_an_adapter_is_denied() -> None:
    assert only(judged(rule, try_on(touch()), facts(configured=frozenset({"push"}))))[:2] == (
        "deny",
        "channel_not_configured",
    )
    assert only(judged(rule, try_on(touch()), facts(configured=frozenset({"email"})))) == ALLOW


def test_a_refusal_names_the_channel() -> None:
    assert judged(rule, try_on(touch()), facts(configured=frozenset()))[0].evidence == {"channel": "email"}

"""What is counted of shadows."""

from services.kit.observability.metrics import Registry
from services.orchestrator.insight.shadow.observations import ShadowObservations, ShadowVersion
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from tests.support.shadow_builders import NOW, STRICT, campaign, catalogue, newer, offer, policy, shadowed


def value(registry: Registry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"tactful_shadow_{name}_total", labels)


def test_decisions_are_counted_by_agreement() -> None:
    registry = Registry()
    series = ShadowMetrics(registry)
    rules = policy(frequency_caps=[STRICT])
    series.count_committed(shadowed(catalogue(campaign(), rules=rules), offer("e-1"), offer("e-2")))
    series.count_committed(shadowed(catalogue(watched=[newer(campaign())]), offer("e-1")))
    assert value(registry, "decisions", channel="email", outcome="send", agrees="yes") == 1
    assert value(registry, "decisions", channel="email", outcome="suppress", agrees="no") == 1
    assert value(registry, "decisions", channel="email", outcome="send", agrees="unknown") == 1
    assert value(registry, "decisions", channel="sms", outcome="fail", agrees="no") == 0


def test_what_was_left_out_is_counted_by_cause() -> None:
    registry = Registry()
    series, notes = ShadowMetrics(registry), ShadowObservations(NOW, 5)
    notes.skipped[ShadowVersion("policy", "policy", 2), "limit"] += 3
    series.count_committed(notes)
    notes.failure = "unkept"
    series.count_committed(notes)
    assert [value(registry, "skipped", cause=cause) for cause in ("limit", "error", "unkept")] == [3, 0, 5]

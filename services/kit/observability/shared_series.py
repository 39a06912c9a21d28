"""Series that several services have, each for its own part."""

from prometheus_client import Counter, Gauge, Histogram

from services.kit.observability.metrics import MetricFamily, Registry, counter, gauge, histogram

ENFORCEMENT_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    3600.0,
    86400.0,
)
"""Seconds: from at once to the day after which it is a breach."""


def duplicates_counter(registry: Registry, *stages: str) -> MetricFamily[Counter]:
    """What each stage has seen before and did not take twice."""
    help_text = "Duplicates caught by idempotency"
    return counter(registry, "duplicates_prevented_total", help_text, {"stage": stages})


def rules_loaded_gauge(registry: Registry, *kinds: str) -> MetricFamily[Gauge]:
    """When what the process holds in memory was last known to be what the database says."""
    help_text = "When this process last loaded each snapshot, or found it current; 0 before"
    return gauge(registry, "rules_loaded_timestamp_seconds", help_text, {"kind": kinds})


def optout_histogram(registry: Registry, *sources: str) -> MetricFamily[Histogram]:
    """How long an opt-out, a suppression or a hold took to be in force."""
    help_text = "Opt-out accepted to enforced in decisions"
    return histogram(registry, "optout_enforced_seconds", help_text, {"source": sources}, buckets=ENFORCEMENT_BUCKETS)

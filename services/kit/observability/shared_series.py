"""Series that several services have, each for its own part."""

from prometheus_client import Counter, Gauge, Histogram

from services.kit.observability.metrics import Family, Registry, counter, gauge, histogram

ENFORCED = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
"""Seconds: from at once to the day after which it is a breach."""


def duplicates_prevented(registry: Registry, *stages: str) -> Family[Counter]:
    """What each stage has seen before and did not take twice."""
    words = "Duplicates caught by idempotency"
    return counter(registry, "duplicates_prevented_total", words, {"stage": stages})


def rules_loaded(registry: Registry, *kinds: str) -> Family[Gauge]:
    """When what the process holds in memory was last known to be what the database says."""
    words = "When this process last loaded each snapshot, or found it current; 0 before"
    return gauge(registry, "rules_loaded_timestamp_seconds", words, {"kind": kinds})


def optout_enforced(registry: Registry, *sources: str) -> Family[Histogram]:
    """How long an opt-out, a suppression or a hold took to be in force."""
    words = "Opt-out accepted to enforced in decisions"
    return histogram(registry, "optout_enforced_seconds", words, {"source": sources}, buckets=ENFORCED)

"""Metrics that several services share, each for its own part."""

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
"""Seconds: buckets from immediate to one day, after which an opt-out is a breach."""


def duplicates_counter(registry: Registry, *stages: str) -> MetricFamily[Counter]:
    """Declares the counter of duplicates that each stage ignored."""
    help_text = "Duplicates caught by idempotency"
    return counter(registry, "duplicates_prevented_total", help_text, {"stage": stages})


def quarantines_counter(registry: Registry, service: str) -> MetricFamily[Counter]:
    """Declares the counter of quarantines that began and ended."""
    help_text = "Quarantines of customers of whom a record that may be a refusal could not be read"
    return counter(registry, "quarantines_total", help_text, {"service": (service,), "change": ("begun", "ended")})


def rules_loaded_gauge(registry: Registry, *kinds: str) -> MetricFamily[Gauge]:
    """Declares the gauge of when the data in memory was last known to equal the database."""
    help_text = "When this process last loaded each snapshot, or found it current; 0 before"
    return gauge(registry, "rules_loaded_timestamp_seconds", help_text, {"kind": kinds})


def optout_histogram(registry: Registry, *sources: str) -> MetricFamily[Histogram]:
    """Declares the histogram of the time until an opt-out, a suppression or a hold was in force."""
    help_text = "Opt-out accepted to enforced in decisions"
    return histogram(registry, "optout_enforced_seconds", help_text, {"source": sources}, buckets=ENFORCEMENT_BUCKETS)

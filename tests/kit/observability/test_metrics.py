import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from services.kit.observability.metrics import (
    SLOW_BUCKETS,
    Registry,
    counter,
    gauge,
    histogram,
    log_counter,
    set_build_info,
)

CHANNELS = ("email", "sms")
OUTCOMES = ("send", "fail")


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_every_series_is_there_from_the_start_at_zero(registry: Registry) -> None:
    counter(registry, "decisions_total", "Decisions", {"channel": CHANNELS, "outcome": OUTCOMES})
    for channel in CHANNELS:
        for outcome in OUTCOMES:
            labels = {"channel": channel, "outcome": outcome}
            assert registry.get_sample_value("tactful_decisions_total", labels) == 0


def test_series_that_nobody_has_set_are_created_when_they_are_read(registry: Registry) -> None:
    family = counter(registry, "x_total", "X", {"channel": CHANNELS, "outcome": OUTCOMES})
    assert len(family.metric._metrics) == 0, "a start would take a quarter longer"
    family("sms", "fail").inc()
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    assert len(family.metric._metrics) == 4
    assert text.count("tactful_x_total{") == 4 and text.count(" 0.0\n") == 3


def test_a_series_that_is_removed_before_it_is_read_stays_away_until_it_is_set(registry: Registry) -> None:
    family = gauge(registry, "age_seconds", "Age", {"channel": CHANNELS})
    family.remove("email")
    assert registry.get_sample_value("tactful_age_seconds", {"channel": "email"}) is None
    assert registry.get_sample_value("tactful_age_seconds", {"channel": "sms"}) == 0
    family("email").set(3)
    assert registry.get_sample_value("tactful_age_seconds", {"channel": "email"}) == 3


@pytest.mark.parametrize("combination", [("fax", "send"), ("email",)])
def test_a_named_combination_outside_the_closed_set_is_refused_at_once(
    registry: Registry, combination: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError):
        counter(registry, "x_total", "X", {"channel": CHANNELS, "outcome": OUTCOMES}, combos=[combination])


def test_a_metric_without_labels_starts_at_zero_too(registry: Registry) -> None:
    family = counter(registry, "tactful_audit_write_failures_total", "Failures")
    assert registry.get_sample_value("tactful_audit_write_failures_total") == 0
    family().inc()
    assert registry.get_sample_value("tactful_audit_write_failures_total") == 1


def test_named_combinations_appear_and_other_known_ones_on_demand(registry: Registry) -> None:
    family = counter(registry, "x_total", "X", {"channel": CHANNELS, "outcome": OUTCOMES}, combos=[("email", "send")])
    assert registry.get_sample_value("tactful_x_total", {"channel": "email", "outcome": "send"}) == 0
    assert registry.get_sample_value("tactful_x_total", {"channel": "sms", "outcome": "fail"}) is None
    family("sms", "fail").inc()
    assert registry.get_sample_value("tactful_x_total", {"channel": "sms", "outcome": "fail"}) == 1


@pytest.mark.parametrize("values", [("fax",), (), ("email", "send")])
def test_a_value_outside_the_closed_set_is_refused(registry: Registry, values: tuple[str, ...]) -> None:
    family = gauge(registry, "queue_messages", "Waiting", {"channel": CHANNELS})
    with pytest.raises(ValueError):
        family(*values)
    assert b"fax" not in generate_latest(registry)  # type: ignore[no-untyped-call]


def test_labels_may_be_given_by_name(registry: Registry) -> None:
    family = gauge(registry, "queue_messages", "Waiting", {"channel": CHANNELS, "outcome": OUTCOMES})
    family.labelled_child(outcome="send", channel="sms").set(4)
    assert registry.get_sample_value("tactful_queue_messages", {"channel": "sms", "outcome": "send"}) == 4
    for wrong in ({"channel": "sms"}, {"channel": "sms", "other": "send"}):
        with pytest.raises(ValueError):
            family.labelled_child(**wrong)


def test_a_child_is_the_same_object_each_time(registry: Registry) -> None:
    family = counter(registry, "x_total", "X", {"channel": CHANNELS})
    assert family("email") is family("email")


def test_two_services_in_one_process_share_a_metric(registry: Registry) -> None:
    one = counter(registry, "x_total", "X", {"channel": ("email",)})
    two = counter(registry, "x_total", "X", {"channel": ("sms",)})
    one("sms").inc()
    two("email").inc(2)
    assert registry.get_sample_value("tactful_x_total", {"channel": "sms"}) == 1
    assert registry.get_sample_value("tactful_x_total", {"channel": "email"}) == 2
    with pytest.raises(ValueError, match="labels"):
        counter(registry, "x_total", "X", {"other": ("a",)})


def test_a_histogram_has_its_buckets(registry: Registry) -> None:
    family = histogram(registry, "delay_seconds", "Delay", {"channel": CHANNELS}, buckets=SLOW_BUCKETS)
    family("email").observe(50)
    bucket = {"channel": "email", "le": "60.0"}
    assert registry.get_sample_value("tactful_delay_seconds_bucket", bucket) == 1
    assert registry.get_sample_value("tactful_delay_seconds_bucket", {**bucket, "le": "30.0"}) == 0
    assert registry.get_sample_value("tactful_delay_seconds_count", {"channel": "sms"}) == 0


def test_build_info_says_what_runs(registry: Registry) -> None:
    for _ in range(2):  # two services of one process
        set_build_info(registry, version="1.0", commit="abc", schema_revision="0001")
    labels = {"version": "1.0", "commit": "abc", "schema_revision": "0001"}
    assert registry.get_sample_value("tactful_build_info", labels) == 1
    assert registry.get_sample_value("process_cpu_seconds_total") is not None


def test_log_lines_are_counted_by_level(registry: Registry) -> None:
    seen = log_counter(registry)
    assert registry.get_sample_value("tactful_log_messages_total", {"level": "critical"}) == 0
    seen("error")
    seen("strange")
    assert registry.get_sample_value("tactful_log_messages_total", {"level": "error"}) == 1
    assert registry.get_sample_value("tactful_log_messages_total", {"level": "info"}) == 1

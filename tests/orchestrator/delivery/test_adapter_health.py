"""The health of one adapter: when it gets no messages, when it is tried again, and how much it gets at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from schemas.message import HandoverFault, HandoverOutcome, HandoverResult
from services.orchestrator.delivery.adapter_health import (
    ENOUGH,
    FIRST_ACCOUNT_PAUSE,
    FIRST_PAUSE,
    LONGEST_ACCOUNT_PAUSE,
    LONGEST_PAUSE,
    PROBE_SIZE,
    RETURN_TIME,
    SECONDS_AT_ONCE,
    STALLED_AFTER,
    AdapterHealth,
)


@dataclass
class Watch:
    """A clock that is moved by hand, and the health that it serves."""

    seconds: float = 1_000.0

    def __post_init__(self) -> None:
        self.health = AdapterHealth(lambda: self.seconds)

    def all(self, outcome: HandoverOutcome, count: int = ENOUGH, took: float = 0.1) -> None:
        """Hand over a batch with one outcome for every message."""
        self.batch(*(outcome for _ in range(count)), took=took)

    def batch(
        self,
        *outcomes: HandoverOutcome,
        fault: HandoverFault | None = None,
        wait: float | None = None,
        took: float = 0.1,
    ) -> None:
        """Hand over a batch with these outcomes."""
        self.health.start(len(outcomes))
        self.seconds += took
        results = [HandoverResult("m", outcome, fault=fault, retry_after=wait) for outcome in outcomes]
        self.health.finish(results, took)


def can_serve(watch: Watch) -> bool:
    return watch.health.is_usable


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_new_adapter_can_serve(watch: Watch) -> None:
    assert can_serve(watch)
    assert watch.health.share() == 1.0
    assert watch.health.report().circuit == "closed"


@pytest.mark.parametrize("outcome", ["retry", "unknown"])
def test_enough_failures_stop_it(watch: Watch, outcome: HandoverOutcome) -> None:
    watch.batch(*[outcome] * (ENOUGH - 1))
    assert can_serve(watch)
    watch.batch(outcome)
    assert not can_serve(watch)
    report = watch.health.report()
    assert (report.circuit, report.cause) == ("open", "failing")
    assert report.wait == pytest.approx(FIRST_PAUSE)


def test_a_few_failures_among_many_successes_do_not(watch: Watch) -> None:
    for _ in range(50):
        watch.batch("accepted", "accepted", "retry")
    assert can_serve(watch)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [("rejected", None), ("rejected", "address"), ("rejected", "content"), ("retry", "content"), ("retry", "throttle")],
)
def test_what_is_said_of_one_message_is_no_failure(
    watch: Watch, outcome: HandoverOutcome, fault: HandoverFault | None
) -> None:
    watch.batch(*[outcome] * 100, fault=fault)
    assert can_serve(watch)


def test_what_had_no_time_to_be_tried_is_no_failure(watch: Watch) -> None:
    watch.health.start(100)
    watch.health.finish([HandoverResult("m", "retry", detail="past_deadline")] * 100, 0.1)
    assert can_serve(watch)


def test_after_a_pause_a_few_are_tried_and_one_success_brings_it_back(watch: Watch) -> None:
    watch.all("unknown")
    watch.seconds += FIRST_PAUSE
    assert watch.health.report().circuit == "half_open"
    assert can_serve(watch)
    assert watch.health.room(500) == PROBE_SIZE
    watch.health.start(1)
    assert not can_serve(watch)  # one probe at a time
    watch.health.finish([HandoverResult("m", "accepted")], 0.1)
    assert can_serve(watch)
    assert watch.health.report().circuit == "closed"


def test_a_refusal_is_no_proof_that_a_provider_is_back(watch: Watch) -> None:
    watch.all("unknown")
    watch.seconds += FIRST_PAUSE
    watch.batch("rejected")
    assert watch.health.report().circuit == "half_open"
    assert watch.health.room(500) == PROBE_SIZE
    assert can_serve(watch)


def test_its_share_grows_back_within_a_minute(watch: Watch) -> None:
    watch.all("unknown")
    watch.seconds += FIRST_PAUSE
    watch.batch("accepted")
    assert watch.health.share() == 0.05
    watch.seconds += RETURN_TIME / 2
    assert watch.health.share() == pytest.approx(0.5)
    watch.seconds += RETURN_TIME
    assert watch.health.share() == 1.0


def test_each_failed_trial_doubles_the_pause_up_to_a_limit(watch: Watch) -> None:
    watch.all("unknown")
    pauses = []
    for _ in range(6):
        pauses.append(watch.health.wait())
        watch.seconds += watch.health.wait()
        watch.batch("unknown", took=0.0)
    assert pauses == pytest.approx([5.0, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE])


@pytest.mark.parametrize(("fault", "pause"), [(None, FIRST_PAUSE), ("account", FIRST_ACCOUNT_PAUSE)])
def test_what_was_under_way_when_it_stopped_does_not_lengthen_the_pause(
    watch: Watch, fault: HandoverFault | None, pause: float
) -> None:
    for _ in range(4):
        watch.health.start(ENOUGH)
    for _ in range(4):
        watch.health.finish([HandoverResult("m", "retry", fault=fault)] * ENOUGH, 0.1)
    assert watch.health.wait() == pytest.approx(pause)


def test_a_refused_account_stops_it_at_once_and_for_longer(watch: Watch) -> None:
    watch.batch("retry", fault="account", took=0.0)
    assert not can_serve(watch)
    assert (watch.health.report().circuit, watch.health.report().cause) == ("open", "account")
    assert watch.health.wait() == pytest.approx(FIRST_ACCOUNT_PAUSE)
    for _ in range(8):
        watch.seconds += watch.health.wait()
        watch.batch("retry", fault="account", took=0.0)
    assert watch.health.wait() == pytest.approx(LONGEST_ACCOUNT_PAUSE)
    watch.seconds += LONGEST_ACCOUNT_PAUSE
    watch.batch("accepted")
    assert can_serve(watch)


def test_an_account_that_is_refused_for_some_messages_only_goes_on(watch: Watch) -> None:
    watch.health.start(2)
    watch.health.finish([HandoverResult("a", "retry", fault="account"), HandoverResult("b", "accepted")], 0.1)
    assert can_serve(watch)


def test_a_provider_that_asks_for_time_gets_it(watch: Watch) -> None:
    watch.batch("accepted", "retry", fault="throttle", wait=20.0, took=0.0)
    assert not can_serve(watch)
    assert (watch.health.report().circuit, watch.health.report().cause) == ("closed", "throttled")
    assert watch.health.wait() == pytest.approx(20.0)
    watch.seconds += 20.0
    assert can_serve(watch)


def test_an_adapter_without_progress_gets_nothing_new(watch: Watch) -> None:
    watch.health.start(100)
    watch.seconds += STALLED_AFTER
    assert can_serve(watch)
    watch.seconds += 0.1
    assert not can_serve(watch)
    assert watch.health.report().cause == "stalled"
    watch.health.progress()
    assert can_serve(watch)


def test_an_idle_adapter_is_not_stalled(watch: Watch) -> None:
    watch.batch("accepted")
    watch.seconds += 1_000
    assert can_serve(watch)


def test_a_slow_adapter_gets_as_much_as_it_takes_in_five_seconds(watch: Watch) -> None:
    assert watch.health.room(500) == 500
    watch.all("accepted", 500, took=SECONDS_AT_ONCE * 10)
    assert watch.health.room(500) == 50
    watch.all("accepted", 50, took=1.0)
    assert watch.health.room(500) == 100
    watch.batch("accepted", took=1.0)  # says nothing about larger ones
    assert watch.health.room(500) == 100
    watch.batch("accepted", took=SECONDS_AT_ONCE * 3)
    assert watch.health.room(500) == PROBE_SIZE

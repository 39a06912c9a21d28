"""The consume loop's hooks as Prometheus metrics, with the same names in every service."""

from collections.abc import Iterable, Sequence

from services.kit.bus.consume_metrics import DeadLetterCause, LoopActivity, RecordOutcome
from services.kit.bus.protocol import Partition
from services.kit.observability.metrics import Registry, counter, gauge
from services.kit.runtime.clock import Instant

_OUTCOMES = ("processed", "retried", "dead_lettered")
_CAUSES = ("unreadable", "refused", "failed")
_ACTIVITIES = ("poll", "process", "backpressure", "commit", "rebalance", "idle")
_PARTITIONS = tuple(str(number) for number in range(256))


class PrometheusConsumerMetrics:
    """Implements `ConsumerMetrics` for one group."""

    def __init__(self, registry: Registry, group: str, topics: Sequence[str]) -> None:
        self._group = group
        topic_labels = {"topic": topics, "group": (group,)}
        self._records = counter(
            registry, "consumer_records_total", "Records finished by consumers", {**topic_labels, "outcome": _OUTCOMES}
        )
        self._dead_letters = counter(
            registry,
            "dead_letter_records_total",
            "Records moved to a dead-letter topic",
            {"topic": topics, "reason": _CAUSES},
        )
        self._lag = gauge(
            registry,
            "consumer_lag_records",
            "Records between committed offset and log end; no series while it is unknown",
            {**topic_labels, "partition": _PARTITIONS},
            combos=(),
        )
        self._next_record = gauge(
            registry,
            "consumer_next_record_timestamp_seconds",
            "Broker time of the oldest unprocessed record; 0 when caught up; no series while it is unknown",
            topic_labels,
        )
        self._activity = counter(
            registry,
            "consumer_activity_seconds_total",
            "Where the consumer loop spends its time",
            {"group": (group,), "activity": _ACTIVITIES},
        )
        self._rebalances = counter(registry, "consumer_rebalances_total", "Rebalances completed", {"group": (group,)})
        self._paused = gauge(
            registry,
            "consumer_paused",
            "1 while consumption is paused",
            {**topic_labels, "cause": ("backpressure",)},
        )

    def count_records(self, topic: str, outcome: RecordOutcome, count: int) -> None:
        self._records(topic, self._group, outcome).inc(count)

    def count_dead_letters(self, topic: str, cause: DeadLetterCause, count: int) -> None:
        self._dead_letters(topic, cause).inc(count)

    def set_lag(self, partition: Partition, records: int) -> None:
        self._lag(partition.topic, self._group, str(partition.partition)).set(records)

    def forget_lag(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._lag.remove(partition.topic, self._group, str(partition.partition))

    def forget_next_record(self, topic: str) -> None:
        self._next_record.remove(topic, self._group)

    def set_next_record(self, topic: str, at: Instant) -> None:
        self._next_record(topic, self._group).set(at / 1e6)

    def add_activity(self, activity: LoopActivity, seconds: float) -> None:
        self._activity(self._group, activity).inc(seconds)

    def count_rebalance(self) -> None:
        self._rebalances(self._group).inc()

    def set_paused(self, topic: str, paused: bool) -> None:
        self._paused(topic, self._group, "backpressure").set(int(paused))

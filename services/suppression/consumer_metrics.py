"""What the consume loop tells, as metrics: services.kit.consume_metrics.ConsumeMetrics."""

from services.kit.bus import Partition
from services.kit.clock import Instant
from services.kit.consume_metrics import Activity, Outcome
from services.kit.metrics import Registry, counter, gauge

_OUTCOMES = ("processed", "retried", "dead_lettered")
_ACTIVITIES = ("poll", "process", "backpressure", "commit", "rebalance", "idle")


class ConsumerMetrics:
    """The loop of one group on one topic."""

    def __init__(self, registry: Registry, topic: str, group: str, partitions: int) -> None:
        place = {"topic": (topic,), "group": (group,)}
        self._group = group
        self._records = counter(
            registry, "consumer_records_total", "Records finished by consumers", {**place, "outcome": _OUTCOMES}
        )
        self._lag = gauge(
            registry,
            "consumer_lag_records",
            "Records between the applied offset and the log's end",
            {**place, "partition": tuple(map(str, range(partitions)))},
        )
        self._next = gauge(
            registry,
            "consumer_next_record_timestamp_seconds",
            "Broker's time of the oldest record not applied; 0 when caught up",
            place,
        )
        self._activity = counter(
            registry,
            "consumer_activity_seconds_total",
            "Where the consume loop spends its time",
            {"group": (group,), "activity": _ACTIVITIES},
        )
        self._rebalances = counter(registry, "consumer_rebalances_total", "Rebalances completed", {"group": (group,)})
        self._paused = gauge(
            registry, "consumer_paused", "1 while nothing is read", {**place, "cause": ("backpressure",)}
        )

    def records(self, topic: str, outcome: Outcome, count: int) -> None:
        """Finished, or tried again."""
        self._records(topic, self._group, outcome).inc(count)

    def lag(self, partition: Partition, records: int) -> None:
        """Not applied yet."""
        number = str(partition.partition)
        place = {"topic": (partition.topic,), "group": (self._group,), "partition": (number,)}
        self._lag.extend(place, None)
        self._lag(partition.topic, self._group, number).set(records)

    def next_record(self, topic: str, at: Instant) -> None:
        """Of the oldest one not applied."""
        self._next(topic, self._group).set(at / 1_000_000)

    def activity(self, activity: Activity, seconds: float) -> None:
        """Time spent."""
        self._activity(self._group, activity).inc(seconds)

    def rebalanced(self) -> None:
        """Partitions were assigned anew."""
        self._rebalances(self._group).inc()

    def paused(self, topic: str, paused: bool) -> None:
        """A batch cannot be applied yet."""
        self._paused(topic, self._group, "backpressure").set(int(paused))

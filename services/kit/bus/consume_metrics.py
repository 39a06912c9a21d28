"""Hooks through which the consume loop reports about itself; named after the consumer metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

from services.kit.bus.protocol import Partition
from services.kit.runtime.clock import Instant

RecordOutcome: TypeAlias = Literal["processed", "retried", "dead_lettered"]
DeadLetterCause: TypeAlias = Literal["unreadable", "refused", "failed"]
"""Why a record became a dead letter: it could not be read, a rule refuses it for good, or processing failed."""
LoopActivity: TypeAlias = Literal["poll", "process", "backpressure", "commit", "rebalance", "idle"]


class ConsumerMetrics(Protocol):
    """Hooks; they must be quick and must not raise."""

    def count_records(self, topic: str, outcome: RecordOutcome, count: int) -> None:
        """consumer_records_total: records finished or retried."""

    def count_dead_letters(self, topic: str, cause: DeadLetterCause, count: int) -> None:
        """dead_letter_records_total: dead-lettered records by cause."""

    def set_lag(self, partition: Partition, records: int) -> None:
        """consumer_lag_records: records between the applied offset and the end of the log."""

    def forget_lag(self, partitions: Iterable[Partition]) -> None:
        """consumer_lag_records of these partitions is unknown, or another process reports it: no series at all."""

    def forget_next_record(self, topic: str) -> None:
        """consumer_next_record_timestamp_seconds is unknown, because the log does not answer: no series at all."""

    def set_next_record(self, topic: str, at: Instant) -> None:
        """consumer_next_record_timestamp_seconds: broker time of the oldest unapplied record; 0 when caught up."""

    def add_activity(self, activity: LoopActivity, seconds: float) -> None:
        """consumer_activity_seconds_total: where the loop spends its time."""

    def count_rebalance(self) -> None:
        """consumer_rebalances_total: partitions were reassigned."""

    def set_paused(self, topic: str, paused: bool) -> None:
        """consumer_paused with cause backpressure: nothing is read because a batch cannot be applied yet."""


class NullConsumerMetrics:
    """Does nothing."""

    def count_records(self, topic: str, outcome: RecordOutcome, count: int) -> None: ...

    def count_dead_letters(self, topic: str, cause: DeadLetterCause, count: int) -> None: ...

    def set_lag(self, partition: Partition, records: int) -> None: ...

    def forget_lag(self, partitions: Iterable[Partition]) -> None: ...

    def forget_next_record(self, topic: str) -> None: ...

    def set_next_record(self, topic: str, at: Instant) -> None: ...

    def add_activity(self, activity: LoopActivity, seconds: float) -> None: ...

    def count_rebalance(self) -> None: ...

    def set_paused(self, topic: str, paused: bool) -> None: ...

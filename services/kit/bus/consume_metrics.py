"""What the consume loop tells about itself. The names are those of the consumer metrics."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from services.kit.bus.protocol import Partition
from services.kit.runtime.clock import Instant

Outcome: TypeAlias = Literal["processed", "retried", "dead_lettered"]
Cause: TypeAlias = Literal["unreadable", "refused", "failed"]
"""Why a record became a dead letter: it could not be read; a rule of ours refuses it for good; we failed at it."""
Activity: TypeAlias = Literal["poll", "process", "backpressure", "commit", "rebalance", "idle"]


class ConsumeMetrics(Protocol):
    """Hooks; they must be quick and must not raise."""

    def records(self, topic: str, outcome: Outcome, count: int) -> None:
        """consumer_records_total: records finished, or tried again."""

    def dead_letter(self, topic: str, cause: Cause, count: int) -> None:
        """dead_letter_records_total: records kept apart, with why."""

    def lag(self, partition: Partition, records: int) -> None:
        """consumer_lag_records: records between the applied offset and the end of the log."""

    def next_record(self, topic: str, at: Instant) -> None:
        """consumer_next_record_timestamp_seconds: broker's time of the oldest unapplied record; 0 when caught up."""

    def activity(self, activity: Activity, seconds: float) -> None:
        """consumer_activity_seconds_total: where the loop spends its time."""

    def rebalanced(self) -> None:
        """consumer_rebalances_total: partitions were assigned anew."""

    def paused(self, topic: str, paused: bool) -> None:
        """consumer_paused with cause backpressure: nothing is read because a batch cannot be applied yet."""


class NoMetrics:
    """Tells nobody."""

    def records(self, topic: str, outcome: Outcome, count: int) -> None: ...

    def dead_letter(self, topic: str, cause: Cause, count: int) -> None: ...

    def lag(self, partition: Partition, records: int) -> None: ...

    def next_record(self, topic: str, at: Instant) -> None: ...

    def activity(self, activity: Activity, seconds: float) -> None: ...

    def rebalanced(self) -> None: ...

    def paused(self, topic: str, paused: bool) -> None: ...

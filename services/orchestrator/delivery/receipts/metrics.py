"""Metrics of receipts. Label sets are closed."""

from collections.abc import Sequence

from schemas.receipt import RECEIPT_KINDS
from schemas.times import SECOND
from schemas.vocabulary import CHANNELS
from services.kit.observability.metrics import SLOW_BUCKETS, Registry, counter, gauge, histogram
from services.orchestrator.delivery.receipts.undecided_store import UndecidedSize

_NOT_TAKEN = ("repeated", "unknown_message", "refused", "unreadable_address", "other_account")


class ReceiptMetrics:
    """Receipts that were taken, and those that change nothing. `adapters`: all names."""

    def __init__(self, registry: Registry, adapters: Sequence[str]) -> None:
        by_adapter = {"adapter": tuple(adapters)}
        self._taken = counter(
            registry,
            "deliveries_total",
            "What providers said about messages, each statement once",
            {"channel": CHANNELS, **by_adapter, "kind": RECEIPT_KINDS},
        )
        self._others = counter(
            registry,
            "receipts_without_effect_total",
            "Receipts that change nothing: repeated, about unknown messages, refused for their signature or form, or "
            "replies from an address that cannot be read or to an account that is not the adapter's",
            {**by_adapter, "cause": _NOT_TAKEN},
        )
        self._delay = histogram(
            registry,
            "delivery_receipt_delay_seconds",
            "Time from handover to what the provider says",
            {"channel": CHANNELS, **by_adapter},
            buckets=SLOW_BUCKETS,
        )

        description = "Replies that may ask to stop, and that nobody has decided about"
        self._undecided = gauge(registry, "undecided_replies", description)
        description = "When the oldest undecided reply was received; 0 if none"
        self._oldest_undecided = gauge(registry, "undecided_reply_oldest_timestamp_seconds", description)

    def set_undecided(self, size: UndecidedSize) -> None:
        """Set how many replies wait for a person, and since when."""
        self._undecided().set(size.waiting)
        self._oldest_undecided().set(size.oldest / SECOND)

    def record_new(self, adapter: str, channel: str, kind: str, delay: float | None) -> None:
        """Count a statement. `delay`: seconds since the handover; None where that is not known."""
        self._taken(channel, adapter, kind).inc()
        if delay is not None:
            self._delay(channel, adapter).observe(delay)

    def record_others(self, adapter: str, repeated: int, unknown: int) -> None:
        """Count receipts that change nothing."""
        self._others(adapter, "repeated").inc(repeated)
        self._others(adapter, "unknown_message").inc(unknown)

    def record_unheard(self, adapter: str, unreadable: int, elsewhere: int) -> None:
        """Count replies that nothing can be made of."""
        self._others(adapter, "unreadable_address").inc(unreadable)
        self._others(adapter, "other_account").inc(elsewhere)

    def record_refused(self, adapter: str) -> None:
        """Count a request that was refused."""
        self._others(adapter, "refused").inc()

"""Spans of receipts: what a provider said about a message, in the trace of the message's event.

A receipt may come weeks after its message; its span then stands alone in its trace, with the time at which it came.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.event import InvalidEvent, decode_event
from schemas.receipt import Receipt
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.observability.tracer import FinishedSpan, SpanValue, Tracer, derive_span
from services.orchestrator.decisions.batch_trace import trace_event
from services.orchestrator.decisions.store import load_events

MAX_TRACED: Final = 500
"""Receipts of one request whose events are looked up."""


class ReceiptTrace:
    """Records new receipts of sampled messages. Without a tracer it does nothing."""

    def __init__(self, tracer: Tracer | None, database: Database) -> None:
        self._tracer = tracer
        self._database = database

    async def record_receipts(
        self, adapter: str, receipts: Sequence[Receipt], messages: Mapping[str, Row[Any]], began: int
    ) -> None:
        """Record receipts that were taken. `began`: nanoseconds since 1970 UTC at which they came. Raises nothing."""
        if self._tracer is None or not receipts:
            return
        of = [(each, messages[each.message_id]) for each in receipts[:MAX_TRACED] if each.message_id in messages]
        keys = {(row.customer, row.event_source, row.event_id) for _, row in of}
        try:
            async with self._database.read() as tx:
                stored = await load_events(tx, sorted(keys))
        except Transient as error:
            log_error("receipts_not_traced", error, "warning")
            return
        for receipt, row in of:
            raw = stored.get((row.customer, row.event_source, row.event_id))
            if raw:
                self._record_receipt(self._tracer, adapter, receipt, row.channel, raw, began)

    def _record_receipt(
        self, tracer: Tracer, adapter: str, receipt: Receipt, channel: str, event: bytes, began: int
    ) -> None:
        try:
            trace = trace_event(tracer, decode_event(event))
        except InvalidEvent:  # an earlier version took it
            return
        if trace is None:
            return
        attributes: dict[str, SpanValue] = {
            "tactful.message": receipt.message_id,
            "tactful.channel": channel,
            "tactful.adapter": adapter,
            "tactful.receipt": receipt.kind,
        }
        span = derive_span(trace.decision.trace_id, receipt.message_id, "receipt", receipt.key)
        name, ended = f"receipt {receipt.kind}", time.time_ns()
        tracer.sink.record(FinishedSpan(name, "server", span, trace.decision, began, ended, attributes))

"""Puts the events of requests into the log: each at once after its transaction, and by a job where that failed.

A request is a row with an event of its own, such as a consent to be confirmed; a campaign of the company answers the
event with a message. The row says whether its event is known to be in the log. An event may come twice, with the same
id: whoever reads it twice takes it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from schemas.times import Instant, format_instant
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus, Outgoing
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database, Tx
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.runtime.periodic import wait_for_any

SENDER: Final = "preference service"
_BATCH: Final = 100


class RequestEvent(NamedTuple):
    """The event of a request: its id, the customer, and the event in the structured form of CloudEvents."""

    id: str
    customer: str
    value: bytes


R = TypeVar("R")


class RequestTable(Protocol[R]):
    """Where requests of one kind are kept, and what their events are."""

    async def list_unpublished(self, tx: Tx, limit: int) -> list[R]:
        """Requests whose events are not known to be in the log, the oldest first."""

    async def mark_published(self, tx: Tx, ids: Sequence[str]) -> None:
        """Note that the events of these requests are in the log."""

    def encode_event(self, request: R) -> RequestEvent:
        """The event; without an address and without what confirms."""


class RequestPublisher(Generic[R]):
    """Publishes requests of one kind. `name`: of the job, in logs."""

    def __init__(
        self, database: Database, bus: Bus, topic: str, signature: SenderSignature, table: RequestTable[R], name: str
    ) -> None:
        self._database = database
        self._bus = bus
        self._topic = topic
        self._signature = signature
        self._table = table
        self._name = name
        self._wake = WakeSignal()

    async def publish_soon(self, requests: Sequence[R]) -> None:
        """Publish at once; where the log cannot be reached, the job does it later."""
        try:
            await self._publish(requests)
        except Transient:
            self._wake.notify()

    async def publish_left_over(self) -> bool:
        """Publish what a process did not come to publish; whether there may be more. Raises Transient."""
        async with self._database.read() as tx:
            left = await self._table.list_unpublished(tx, _BATCH)
        if left:
            await self._publish(left)
        return len(left) == _BATCH

    async def run_until_stopped(self, stopping: asyncio.Event) -> None:
        """Publishes what is left over, every few seconds."""
        while not stopping.is_set():
            woken, more = self._wake.next_event(), False
            try:
                more = await self.publish_left_over()
            except Transient as error:
                log_error(f"{self._name}_wait", error, "warning")
            if not more:
                await wait_for_any(FALLBACK_INTERVAL, stopping, woken)

    async def _publish(self, requests: Sequence[R]) -> None:
        events = [self._table.encode_event(request) for request in requests]
        await self._bus.publish([self._to_record(event) for event in events])
        async with self._database.write() as tx:
            await self._table.mark_published(tx, [event.id for event in events])

    def _to_record(self, event: RequestEvent) -> Outgoing:
        key = event.customer.encode()
        return Outgoing(self._topic, key, event.value, self._signature.headers(SENDER, key, event.value))


def encode_request_event(
    id: str, customer: str, source: str, type: str, requested: Instant, data: Mapping[str, Any]
) -> RequestEvent:
    """The event of a request."""
    value = msgspec.json.encode({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "subject": customer,
        "time": format_instant(requested),
        "data": data,
    })  # fmt: skip
    return RequestEvent(id, customer, value)

"""Keeps clicks and opens as receipts, after the customer has been answered.

A click leads where it should whether the database answers or not, so it is not kept before the redirect: it waits in
this process, in order, until the database takes it. What waits is lost if the process is killed, if more than
`MAX_WAITING` wait, or if the database does not answer while the process stops; it is counted as far as can be known.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from schemas.receipt import Receipt, ReceiptKind, Statement
from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.http.rate_limits import TokenBuckets
from services.kit.observability.logs import log, log_error
from services.kit.runtime.periodic import sleep_unless_set, wait_for_any
from services.orchestrator.delivery.links.sealed_links import LinkKind
from services.orchestrator.delivery.links.visit_metrics import VisitMetrics
from services.orchestrator.delivery.receipts.entry_api import EntriesRefused
from services.orchestrator.delivery.receipts.store import load_messages
from services.orchestrator.link_settings import OWN_LINKS

MAX_WAITING: Final = 20_000
BATCH: Final = 500
VISITS_A_SECOND: Final = 1.0
"""Of one message, beyond `VISITS_AT_ONCE`. Further ones lead where they should, and are not counted."""
VISITS_AT_ONCE: Final = 20.0
_REMEMBERED: Final = 50_000
"""Receipts that are known to be kept; a repetition of them does not ask the database."""
_RETRY_SECONDS: Final = 2.0
_TOLD: Final[Mapping[LinkKind, ReceiptKind]] = {"l": "clicked", "o": "opened"}

TakeReceipts = Callable[[str, Sequence[Statement]], Awaitable[object]]
"""Keeps receipts under the name of an adapter (`ReceiptIntake.take`)."""


class LinkVisit(NamedTuple):
    """A request for a link (`l`) or the picture (`o`) of a message. `number`: which link, from 1."""

    kind: LinkKind
    message_id: str
    number: int
    at: Instant
    by_machine: bool


class VisitRecorder:
    """Keeps the visits of this process."""

    def __init__(
        self, database: Database, take_receipts: TakeReceipts, metrics: VisitMetrics, machine_seconds: int
    ) -> None:
        """`machine_seconds`: visits sooner after the handover are those of a machine."""
        self.metrics = metrics
        self._database = database
        self._take_receipts = take_receipts
        self._machine_span = machine_seconds * SECOND
        self._waiting: deque[LinkVisit] = deque()
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._rate = TokenBuckets(VISITS_A_SECOND, VISITS_AT_ONCE)
        self._grown = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many visits are not kept yet."""
        return len(self._waiting)

    def keep_soon(self, visit: LinkVisit) -> None:
        """Have a visit kept soon. Never waits and never raises."""
        if _key(visit, visit.by_machine) in self._kept:
            self.metrics.count_visits(visit.kind, "repeated")
        elif self._rate.take(visit.message_id):
            self.metrics.count_visits(visit.kind, "not_counted")
        elif len(self._waiting) >= MAX_WAITING:
            self.metrics.count_visits(visit.kind, "lost")
        else:
            self._waiting.append(visit)
            self._grown.set()

    async def run_until_stopped(self, stopping: asyncio.Event) -> None:
        """Keep visits until `stopping` is set, and then what still waits, if the database takes it."""
        while not stopping.is_set():
            self._grown.clear()
            if not self._waiting:
                await wait_for_any(None, self._grown, stopping)
            elif not await self._keep_batch():
                await sleep_unless_set(stopping, _RETRY_SECONDS)
        while self._waiting and await self._keep_batch():
            pass
        for visit in self._waiting:
            self.metrics.count_visits(visit.kind, "lost")
        if self._waiting:
            log("link_visits_lost", level="warning", visits=len(self._waiting))

    async def _keep_batch(self) -> bool:
        """Keep the oldest visits. Returns whether they are kept; otherwise they wait on."""
        batch = [self._waiting[place] for place in range(min(BATCH, len(self._waiting)))]
        try:
            receipts = await self._to_receipts(batch)
            await self._take_receipts(OWN_LINKS, receipts)
        except EntriesRefused as error:  # the receipts are kept; their entries stay owed to the relay
            log_error("link_visits_kept", error, "warning")
        except Transient as error:
            log_error("link_visits_wait", error, "warning")
            return False
        for visit in batch:
            self._waiting.popleft()
            self.metrics.count_visits(visit.kind, "kept")
        self._remember([each.key for each in receipts])
        return True

    async def _to_receipts(self, visits: Sequence[LinkVisit]) -> list[Receipt]:
        async with self._database.read() as tx:
            messages = await load_messages(tx, {each.message_id for each in visits})
        receipts: dict[str, Receipt] = {}
        for each in visits:
            by_machine = each.by_machine or self._is_early(each.at, messages.get(each.message_id))
            key = _key(each, by_machine)
            detail = f"link_{each.number}" if each.number else None
            receipt = Receipt(key, each.message_id, _TOLD[each.kind], each.at, by_machine=by_machine, detail=detail)
            receipts.setdefault(key, receipt)
        return list(receipts.values())

    def _is_early(self, at: Instant, message: Row[Any] | None) -> bool:
        """Whether a visit came before somebody could have read the message."""
        if message is None or not self._machine_span:
            return False
        if message.closed_at is None:
            return bool(message.state == MessageState.HANDING_OVER)
        return bool(at < message.closed_at + self._machine_span)

    def _remember(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._kept[key] = None
            self._kept.move_to_end(key)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)


def _key(visit: LinkVisit, by_machine: bool) -> str:
    """The same for every visit that says the same: a message is opened, and clicked, once by people and once by
    machines.
    """
    return f"{OWN_LINKS}:{visit.message_id}:{_TOLD[visit.kind]}{':machine' * by_machine}"

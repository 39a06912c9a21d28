"""The job that removes the data of erased customers, step by step, in transactions of bounded size.

The event has recorded the erasure before (`begin_erasure`), in the transaction of the service's offsets: from then on
nothing new is taken. So every step can be repeated at will, and the work is finished once a whole round of steps has
found nothing. A crash at any point is made good by the next round; several processes may run the job.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from services.erasure import store
from services.erasure.batches import change_some, delete_some
from services.erasure.erased_stores import ErasedStore
from services.erasure.mentions import is_mentioned, written_forms
from services.kit.bus.fence import WakeSignal
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log, log_error
from services.kit.runtime.periodic import wait_for_any

BUSY_SECONDS: Final = 0.5
"""Seconds between two rounds while an erasure waits, as for the end of a handover."""
IDLE_SECONDS: Final = 5.0
"""Seconds between two looks while there is none: another process may have recorded one."""
MOST_AT_ONCE: Final = 100
_OF_CUSTOMER: Final = "customer = :customer"
_ABANDONED: Final = 120_000_000
"""Microseconds after which a request without an answer belongs to a dead process."""


class Subject(NamedTuple):
    """Whom a step erases: the plain id, what stands for it from now on, and when the erasure was recorded.

    `counts`: how many rows of each table the step has removed or made anonymous, for the proof of the erasure.
    """

    customer: str
    pseudonym: str
    recorded: int
    counts: Counter[str]

    def note(self, table: str, rows: int) -> int:
        """Count rows of a table; returns how many."""
        self.counts[table] += rows
        return rows


EraseStep = Callable[[Tx, Subject], Awaitable[int | None]]
"""Removes some rows of a customer and counts them by table; returns 0 when there are none left, None when it must wait
for others, and else how many.
"""


class Eraser:
    """Takes the steps for every unfinished erasure, in order; `wake` tells that there is a new one.

    `is_ready` is asked about each pseudonym, outside any transaction: no erasure is finished while it says no.
    `stores`: the tables of the service that may hold something of a person.
    """

    def __init__(
        self,
        database: Database,
        steps: Sequence[EraseStep],
        is_ready: Callable[[str], Awaitable[bool]] | None = None,
        *,
        stores: Sequence[ErasedStore] = (),
    ) -> None:
        self.is_ready = is_ready
        self._searched = [each.table for each in stores if each.action != "kept"]
        self._database = database
        self._steps = steps
        self.wake = WakeSignal()

    async def run_until_stopped(self, stopping: asyncio.Event) -> None:
        """Erase until `stopping` is set. Transient errors are waited out."""
        while not stopping.is_set():
            woken, seconds = self.wake.next_event(), IDLE_SECONDS
            try:
                if await self.erase_all():
                    seconds = BUSY_SECONDS
            except Transient as error:
                log_error("erasure_waits", error, "warning")
            await wait_for_any(seconds, stopping, woken)

    async def erase_all(self) -> bool:
        """Work at all unfinished erasures; whether one is unfinished afterwards. Raises Transient.

        One that fails in another way is logged, and tried again with the next: it must not keep the others waiting.
        """
        async with self._database.read() as tx:
            unfinished = await store.list_unfinished(tx, MOST_AT_ONCE)
        finished = 0
        for pseudonym in unfinished:
            try:
                finished += await self._erase(pseudonym)
            except Transient:
                raise
            except Exception as error:
                log_error("erasure_failed", error, pseudonym=pseudonym)
        return finished < len(unfinished)

    async def _erase(self, pseudonym: str) -> bool:
        """Take all steps until a round finds nothing; whether the erasure is finished."""
        while True:
            found = 0
            for step in self._steps:
                while changed := await self._take_step(step, pseudonym):
                    found += changed
                if changed is None:
                    return False
            if found == 0:
                break
        if self.is_ready is not None and not await self.is_ready(pseudonym):
            return False
        async with self._database.write() as tx:
            erasure = await store.lock_unfinished(tx, pseudonym)
            if erasure is not None:
                await store.finish_erasure(tx, pseudonym, self._searched)
                log("customer_erased", pseudonym=pseudonym, rows=erasure.rows)
        await self._database.truncate_journal()
        return True

    async def _take_step(self, step: EraseStep, pseudonym: str) -> int | None:
        async with self._database.write() as tx:
            erasure = await store.lock_unfinished(tx, pseudonym)
            if erasure is None or erasure.customer is None:
                return None
            subject = Subject(erasure.customer, pseudonym, erasure.recorded, Counter())
            changed = await step(tx, subject)
            await store.count_rows(tx, pseudonym, subject.counts)
        return changed


def deletes(table: str) -> EraseStep:
    """A step that deletes the rows whose column `customer` names the customer."""

    async def step(tx: Tx, subject: Subject) -> int:
        return subject.note(table, await delete_some(tx, table, _OF_CUSTOMER, customer=subject.customer))

    return step


def changes(table: str, assignments: str) -> EraseStep:
    """A step that makes the rows of the customer anonymous; the assignments may use `:customer` and `:pseudonym`."""

    async def step(tx: Tx, subject: Subject) -> int:
        names = {"customer": subject.customer, "pseudonym": subject.pseudonym}
        return subject.note(table, await change_some(tx, table, assignments, _OF_CUSTOMER, **names))

    return step


async def delete_dead_letters(tx: Tx, subject: Subject) -> int:
    """Step: delete the dead letters of the customer's records, open or closed, with the records' bytes.

    Taken first: a letter that is being redriven is locked, and what its record leaves behind is found afterwards.
    """
    key = subject.customer.encode("utf-8", "surrogatepass")
    where = "customer = :customer OR key = :key"
    return subject.note("dead_letter", await delete_some(tx, "dead_letter", where, customer=subject.customer, key=key))


async def delete_stored_answers(tx: Tx, subject: Subject) -> int | None:
    """Step: delete answers that are kept for repeated requests and mention the customer.

    Waits for requests that began before the erasure and have no answer yet, as theirs may do so too.
    """
    pending = await tx.row(
        "SELECT 1 FROM idempotency WHERE status = 0 AND at <= :recorded AND at > :abandoned LIMIT 1",
        recorded=subject.recorded,
        abandoned=await tx.now() - _ABANDONED,
    )
    contains = "position(:form in body)" if tx.dialect == "postgresql" else "instr(body, :form)"
    keys: set[str] = set()
    for form in written_forms(subject.customer):
        rows = await tx.rows(f"SELECT key, body FROM idempotency WHERE {contains} > 0", form=form)
        keys |= {row.key for row in rows if is_mentioned([subject.customer], bytes(row.body))}
    if keys:
        deleted = await tx.execute(
            f"DELETE FROM idempotency WHERE {tx.in_list('key', 'keys')}", keys=tx.list_parameter(sorted(keys))
        )
        return subject.note("idempotency", deleted)
    return 0 if pending is None else None

"""Replies that may be a STOP: held until a person decides, and then what follows from the decision.

While nobody has decided, a do-not-contact entry with a reason of its own keeps back everything but transactional
messages to the address; the rule `suppression` lets them wait. A decision is written first and then told to the
do-not-contact list; what the list could not be told is made up for by the relay.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.service_api import RECEIPTS_OF, AddressLift, ProviderEntry
from schemas.vocabulary import Class, SuppressionReason
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound, Permanent
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.message_store import wake_parked
from services.orchestrator.delivery.receipts import undecided_store
from services.orchestrator.delivery.receipts.entry_api import EntriesRefused, EntryApi
from services.orchestrator.delivery.receipts.undecided_store import ReplyDecision

AT_ONCE: Final = 200
"""Replies of which the do-not-contact list is told in one question, and in one round of the relay."""
HELD_CLASSES: Final = tuple(each.value for each in Class if each is not Class.TRANSACTIONAL)


class DecidedOtherwise(Conflict):
    """Somebody has decided otherwise before, or the customer has said plainly what they want."""

    default_code = "decided_otherwise"


def stopped_classes(channel: str) -> tuple[str, ...] | None:
    """The classes of messages that a STOP on a channel forbids; None for all."""
    return None if CHANNEL_REGISTRY.declarations[channel].stops_everything else (Class.MARKETING.value,)


class ReplyDecisions:
    """Holds what replies may forbid, and carries out what people decide about them."""

    def __init__(self, database: Database, suppression: EntryApi, clock: Clock) -> None:
        self._database = database
        self._suppression = suppression
        self._clock = clock

    async def decide(self, seq: int, decision: ReplyDecision, by: str) -> Row[Any]:
        """Write the decision of a person, and let it take effect; returns the reply as it is then.

        To decide the same again is no error. Raises NotFound, DecidedOtherwise, and Transient if the do-not-contact
        list does not answer: then the decision stands, and takes effect later.
        """
        async with self._database.read() as tx:
            found = await undecided_store.get_reply(tx, seq)
        if found is None:
            raise NotFound(f"there is no reply {seq}; GET /v1/replies lists them")
        if found.owes == "hold":  # or its entry could come after the decision
            await self.carry_out([found])
        async with self._database.write() as tx:
            row = await undecided_store.get_reply(tx, seq, lock=True)
            if row is None:
                raise NotFound(f"there is no reply {seq}; GET /v1/replies lists them")
            if row.state not in ("undecided", decision):
                raise DecidedOtherwise(f"this reply is `{row.state}` already, as decided by {row.decided_by}")
            if row.state == "undecided":
                await undecided_store.write_decision(tx, seq, decision, by, self._clock.now())
                log("reply_decided", reply=seq, decision=decision, by=by)
            row = await undecided_store.get_reply(tx, seq)
        assert row is not None
        await self.carry_out([row] if row.owes else [])
        return row

    async def hold(self, keys: Sequence[str]) -> None:
        """Let the do-not-contact list hold what these new replies may forbid. Raises Transient."""
        if keys:
            async with self._database.read() as tx:
                owed = await undecided_store.list_owed(tx, len(keys), keys)
            await self.carry_out(owed)

    async def carry_out(self, rows: Sequence[Row[Any]]) -> None:
        """Tell the do-not-contact list what it does not know of these replies yet. Raises Transient, once it has been
        told all that it can be.

        To tell it twice is no error.
        """
        refused: list[str] = []
        in_order = sorted(rows, key=lambda row: (row.owes, row.adapter, row.seq))
        for (owed, _), of_kind in groupby(in_order, key=lambda row: (row.owes, row.adapter)):
            of_run = list(of_kind)
            for start in range(0, len(of_run), AT_ONCE):
                refused += await self._carry_out_alike(of_run[start : start + AT_ONCE], owed)
        if refused:
            raise EntriesRefused(f"entries are refused: {refused[0]}", retry_after=5.0)

    async def _carry_out_alike(self, rows: Sequence[Row[Any]], owed: str) -> list[str]:
        """Tell the same of these replies to one adapter; where that is refused, of each by itself. Returns why those
        that cannot be told are refused.
        """
        try:
            await self._tell(rows, owed)
        except Permanent as error:
            if len(rows) == 1:
                log("entries_refused", level="error", reply=rows[0].seq, detail=error.detail)
                return [error.detail]
            return [each for row in rows for each in await self._carry_out_alike([row], owed)]
        await self._note_told(rows, owed)
        return []

    async def _note_told(self, rows: Sequence[Row[Any]], owed: str) -> None:
        late: list[Row[Any]] = []
        async with self._database.write() as tx:
            told = await undecided_store.mark_told(tx, [row.seq for row in rows], owed)
            if owed != "hold":
                await wake_parked(tx, sorted({row.customer for row in rows}), self._clock.now())
            else:  # of some, somebody may have decided, and lifted the entry, while it was being made
                found = [await undecided_store.get_reply(tx, row.seq) for row in rows if row.seq not in told]
                closed = {each.seq for each in found if each is not None and each.state != "undecided"}
                late = [row for row in rows if row.seq in closed]
        if late:
            await self._lift(late)

    async def _tell(self, rows: Sequence[Row[Any]], owed: str) -> None:
        """What is owed of these replies, all to one adapter."""
        if owed == "hold":
            await self._add(rows, [_hold_of(row) for row in rows])
            return
        if owed == "stop":
            await self._add(rows, [_stop_of(row) for row in rows])
        await self._lift(rows)

    async def _add(self, rows: Sequence[Row[Any]], entries: Sequence[ProviderEntry]) -> None:
        await self._suppression.add_entries(entries, f"{RECEIPTS_OF}{rows[0].adapter}")

    async def _lift(self, rows: Sequence[Row[Any]]) -> None:
        lifts = [AddressLift(row.address, row.channel, row.held_from) for row in rows]
        made_by = f"{RECEIPTS_OF}{rows[0].adapter}"
        await self._suppression.lift_entries(lifts, SuppressionReason.UNDECIDED_REPLY, made_by, only_then=True)


def _hold_of(row: Row[Any]) -> ProviderEntry:
    source = f"{row.adapter}: reply {row.seq}"
    scope = (row.customer, row.address, row.channel, HELD_CLASSES)
    return ProviderEntry(*scope, SuppressionReason.UNDECIDED_REPLY, source, row.held_from)


def _stop_of(row: Row[Any]) -> ProviderEntry:
    source = f"{row.adapter}: reply {row.seq}, a stop by the word of {row.decided_by}"
    scope = (row.customer, row.address, row.channel, stopped_classes(row.channel))
    return ProviderEntry(*scope, SuppressionReason.STOP_KEYWORD, source, row.at)

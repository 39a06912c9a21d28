"""Replies that may be a STOP: held until a person decides, and then what follows from the decision.

While nobody has decided, a do-not-contact entry with a reason of its own keeps back everything but transactional
messages to the address; the rule `suppression` lets them wait. A decision is written first and then told to the
do-not-contact list; what the list could not be told is made up for by the relay.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.service_api import AddressLift, ProviderEntry
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
"""Replies of which the do-not-contact list is told in one round."""
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
        """Tell the do-not-contact list what it does not know of these replies yet. Raises Transient.

        To tell it twice is no error.
        """
        for row in rows:
            try:
                await self._tell(row)
            except Permanent as error:
                raise EntriesRefused(f"entries are refused: {error.detail}", retry_after=5.0) from error
            async with self._database.write() as tx:
                told = await undecided_store.mark_told(tx, row.seq, row.owes)
                if row.owes != "hold":
                    await wake_parked(tx, [row.customer], self._clock.now())
                now_held = None if told else await undecided_store.get_reply(tx, row.seq)
            if now_held is not None and row.owes == "hold" and now_held.state != "undecided":
                await self._lift(row)  # somebody has decided, and lifted it, while it was being made

    async def _tell(self, row: Row[Any]) -> None:
        if row.owes == "hold":
            await self._add(row, SuppressionReason.UNDECIDED_REPLY, HELD_CLASSES, f"{row.adapter}: reply {row.seq}")
            return
        if row.owes == "stop":
            source = f"{row.adapter}: reply {row.seq}, a stop by the word of {row.decided_by}"
            await self._add(row, SuppressionReason.STOP_KEYWORD, stopped_classes(row.channel), source)
        await self._lift(row)

    async def _add(
        self, row: Row[Any], reason: SuppressionReason, classes: tuple[str, ...] | None, source: str
    ) -> None:
        since = row.held_from if reason is SuppressionReason.UNDECIDED_REPLY else row.at
        entry = ProviderEntry(row.customer, row.address, row.channel, classes, reason, source, since)
        await self._suppression.add_entries([entry], f"receipts of {row.adapter}")

    async def _lift(self, row: Row[Any]) -> None:
        lift = AddressLift(row.address, row.channel, row.held_from)
        await self._suppression.lift_entries(
            [lift], SuppressionReason.UNDECIDED_REPLY, f"receipts of {row.adapter}", only_then=True
        )

"""What a customer reads and does in the inbox, and what of that is said of the messages.

That a customer has seen a message or followed its link is kept as a receipt of it, as if a provider had told it: it
becomes the event `tactful.message.opened` or `tactful.message.clicked`, once, and settles what waits for it. The
receipt is kept first: if the mark is then not, the customer's next request makes it, and the receipt is a repetition.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.receipt import Receipt, ReceiptKind
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.app_inbox import store
from services.orchestrator.delivery.adapters.app_inbox.store import Mark
from services.orchestrator.delivery.adapters.definition import TakeStatements

_IMPLIED: Final[dict[Mark, tuple[Mark, ...]]] = {
    "seen": ("seen",),
    "read": ("seen", "read"),
    "clicked": ("seen", "read", "clicked"),
    "archived": ("archived",),
}
"""Who follows a link has read the message, and who has read it has seen it. Who archives it may not have."""
_TOLD: Final[dict[Mark, ReceiptKind]] = {"seen": "opened", "clicked": "clicked"}


class InboxReader:
    """The inboxes of customers, each asked for with the customer's id."""

    def __init__(self, database: Database, clock: Clock, take_statements: TakeStatements) -> None:
        self._database = database
        self._clock = clock
        self._take_statements = take_statements

    async def count_unread(self, customer: str) -> int:
        """How many messages are neither read nor archived."""
        async with self._database.read() as tx:
            return await store.count_unread(tx, customer)

    async def read_page(
        self, customer: str, *, archived: bool, before: int | None, limit: int
    ) -> tuple[Sequence[Row[Any]], int]:
        """A page of messages, newest first, and how many are unread, at one instant."""
        async with self._database.read() as tx:
            rows = await store.list_inbox(tx, customer, archived=archived, before=before, limit=limit)
            return rows, await store.count_unread(tx, customer)

    async def mark(self, customer: str, ids: Collection[str], mark: Mark) -> None:
        """Mark those of these messages that are in the customer's inbox. Marks that are there stay as they are."""
        async with self._database.read() as tx:
            rows = await store.find_messages(tx, customer, ids)
        await self._mark_rows(customer, rows, mark)

    async def mark_all_read(self, customer: str, until: str | None) -> None:
        """Mark as read what is unread; `until`: up to this message. Raises NotFound."""
        async with self._database.read() as tx:
            position = None if until is None else (await _find(tx, customer, until)).position
            rows = await store.find_unread(tx, customer, position)
        await self._mark_rows(customer, rows, "read")

    async def find(self, customer: str, message_id: str) -> Row[Any]:
        """One message. Raises NotFound."""
        async with self._database.read() as tx:
            return await _find(tx, customer, message_id)

    async def mark_one(self, customer: str, message_id: str, mark: Mark) -> None:
        """Mark one message. Raises NotFound."""
        await self._mark_rows(customer, [await self.find(customer, message_id)], mark)

    async def unarchive(self, customer: str, message_id: str) -> None:
        """Take a message out of the archive. Raises NotFound."""
        row = await self.find(customer, message_id)
        if row.archived_at is not None:
            async with self._database.write() as tx:
                await store.unarchive(tx, customer, [message_id])

    async def _mark_rows(self, customer: str, rows: Sequence[Row[Any]], mark: Mark) -> None:
        marks = _IMPLIED[mark]
        changed = [row for row in rows if any(getattr(row, f"{each}_at") is None for each in marks)]
        if not changed:
            return
        now = self._clock.now()
        statements = [
            Receipt(f"app_inbox:{row.message_id}:{_TOLD[each]}", row.message_id, _TOLD[each], now)
            for row in changed
            for each in marks
            if each in _TOLD and getattr(row, f"{each}_at") is None
        ]
        if statements:
            await self._take_statements(statements)
        async with self._database.write() as tx:
            await store.set_marks(tx, customer, [row.message_id for row in changed], marks, now)


async def _find(tx: Tx, customer: str, message_id: str) -> Row[Any]:
    rows = await store.find_messages(tx, customer, [message_id])
    if not rows:
        raise NotFound("this message is not in the inbox")
    return rows[0]


def decode_content(row: Row[Any]) -> dict[str, str]:
    """What a message says: title, body, and link where it has one."""
    return msgspec.json.decode(row.content, type=dict[str, str])

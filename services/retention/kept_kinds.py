"""What a service keeps for a limited time: kinds of data, and the steps that remove what is older."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from schemas.times import Instant
from services.kit.db.database import Tx

ROWS_AT_ONCE: Final = 1_000
"""Rows that one transaction of a retention removes or changes."""

ExpiryProgress = tuple[int | None, Counter[str]]
"""Where the next transaction goes on, None at the end; and how many rows were removed, by table."""
ExpiryStep = Callable[[Tx, Instant, int], Awaitable[ExpiryProgress]]
"""Removes some rows from before an instant, from a place on (0 at first)."""
OldestRow = Callable[[Tx, Instant], Awaitable[Instant | None]]
"""Finds the instant of the oldest row that a retention up to this instant would remove; None if there is none."""


class KeptKind(NamedTuple):
    """One kind of data, in some tables. `days`: for how long it is kept; None: for ever."""

    name: str
    days: int | None
    tables: tuple[str, ...]
    steps: tuple[ExpiryStep, ...]
    oldest: OldestRow


class AgedRows(NamedTuple):
    """Rows of a table that go by the instant in a column.

    `key`: the column by which they are walked, which must be indexed and grow with the instants; by default that of the
    instant. `only`: SQL that must hold as well; it may name `:before`.
    """

    table: str
    column: str
    key: str = ""
    only: str = ""

    def expires(self) -> ExpiryStep:
        """The step that deletes them, oldest first."""
        return self._walk if self.key else self._delete_oldest

    async def oldest(self, tx: Tx, before: Instant) -> Instant | None:
        """The instant of the oldest of them that lies before an instant."""
        row = await tx.row(
            f"SELECT {self.column} AS at FROM {self.table} WHERE {self._condition()} "
            f"ORDER BY {self.key or self.column} LIMIT 1",
            before=before,
        )
        return None if row is None else row.at

    async def _delete_oldest(self, tx: Tx, before: Instant, after: int) -> ExpiryProgress:
        row_id = "ctid" if tx.dialect == "postgresql" else "rowid"
        chosen = (
            f"SELECT {row_id} FROM {self.table} WHERE {self._condition()} ORDER BY {self.column} LIMIT {ROWS_AT_ONCE}"
        )
        where = f"{row_id} = ANY(ARRAY({chosen}))" if tx.dialect == "postgresql" else f"{row_id} IN ({chosen})"
        count = await tx.execute(f"DELETE FROM {self.table} WHERE {where}", before=before)
        return (after + 1 if count == ROWS_AT_ONCE else None), +Counter({self.table: count})

    async def _walk(self, tx: Tx, before: Instant, after: int) -> ExpiryProgress:
        """Look at the next rows by their key, until they are young; those that must stay are passed over."""
        page = await tx.tuples(
            f"SELECT {self.key}, {self.column} FROM {self.table} WHERE {self.key} > :after "
            f"ORDER BY {self.key} LIMIT {ROWS_AT_ONCE}",
            after=after,
        )
        if not page:
            return None, Counter()
        last, youngest = page[-1]
        count = await tx.execute(
            f"DELETE FROM {self.table} WHERE {self.key} > :after AND {self.key} <= :last AND {self._condition()}",
            after=after,
            last=last,
            before=before,
        )
        is_end = len(page) < ROWS_AT_ONCE or (youngest is not None and youngest >= before)
        return (None if is_end else last), +Counter({self.table: count})

    def _condition(self) -> str:
        return f"{self.column} < :before" + (f" AND ({self.only})" if self.only else "")


def aged_kind(name: str, days: int | None, *rows: AgedRows) -> KeptKind:
    """A kind whose rows go by their age alone, in the order given."""

    async def oldest(tx: Tx, before: Instant) -> Instant | None:
        found = [at for each in rows if (at := await each.oldest(tx, before)) is not None]
        return min(found, default=None)

    return KeptKind(name, days, tuple(each.table for each in rows), tuple(each.expires() for each in rows), oldest)

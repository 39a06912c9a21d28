"""Takes the text and the address out of messages that have ended long ago.

Messages have no index by age, which every message would pay for. Decisions are numbered nearly in order of time, so
their messages are found by walking the decisions. Each walk begins where the last one has left nothing behind: at the
first decision whose message was waiting or has changed lately. A process that starts walks from the beginning.
"""

from collections import Counter

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Tx
from services.orchestrator.retention.store import WAITING
from services.retention.kept_kinds import ROWS_AT_ONCE, ExpiryProgress

_ENDED = (
    f"updated < :before AND state NOT IN ({WAITING}) AND (state <> '{MessageState.HANDING_OVER.value}' "
    "OR NOT EXISTS (SELECT 1 FROM handover h WHERE h.handover_id = message.handover_id AND h.closed_at IS NULL))"
)


class ContentExpiry:
    """The walk. Not safe for concurrent use; several processes may each have one."""

    def __init__(self) -> None:
        self._walked = 0
        self._left_behind: int | None = None

    async def strip(self, tx: Tx, before: Instant, after: int) -> ExpiryProgress:
        """Step: strip the messages of the next decisions."""
        if after == 0:
            after = self._walked if self._left_behind is None else self._left_behind - 1
            self._left_behind = None
        found = await tx.tuples(
            "SELECT decision_id, message_id, time FROM decision WHERE decision_id > :after "
            "ORDER BY decision_id LIMIT :most",
            after=after,
            most=ROWS_AT_ONCE,
        )
        old = [(number, message_id) for number, message_id, time in found if time < before]
        if not old:
            return None, Counter()
        named = {"ids": tx.list_parameter(sorted({message_id for _, message_id in old}))}
        count = await tx.execute(
            f"UPDATE message SET content = NULL, to_address = NULL WHERE {tx.in_list('message_id', 'ids')} "
            f"AND (content IS NOT NULL OR to_address IS NOT NULL) AND {_ENDED}",
            before=before,
            **named,
        )
        kept = await tx.tuples(
            f"SELECT message_id FROM message WHERE {tx.in_list('message_id', 'ids')} AND content IS NOT NULL", **named
        )
        self._note(old, {message_id for (message_id,) in kept})
        is_end = len(old) < len(found) or len(found) < ROWS_AT_ONCE
        return (None if is_end else old[-1][0]), +Counter(message=count)

    async def oldest(self, tx: Tx, before: Instant) -> Instant | None:
        """The time of the first decision that no walk has come to."""
        row = await tx.row(
            "SELECT time FROM decision WHERE decision_id > :walked ORDER BY decision_id LIMIT 1", walked=self._walked
        )
        return None if row is None or row.time >= before else row.time

    def _note(self, old: list[tuple[int, str]], kept: set[str]) -> None:
        self._walked = max(self._walked, old[-1][0])
        behind = [number for number, message_id in old if message_id in kept]
        if behind and self._left_behind is None:
            self._left_behind = behind[0]

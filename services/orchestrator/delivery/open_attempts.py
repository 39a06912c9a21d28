"""The open attempts of this installation, for the opt-out barrier (`services/clients/opt_out_barrier.py`)."""

from collections.abc import Sequence

from schemas.service_api import AttemptScope, OpenAttempts
from services.kit.db.database import Database
from services.orchestrator.delivery import query_store


class OpenAttemptsReader:
    """Answers the barrier's questions from the database: the other services ask over HTTP, the receipts from within."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now. Raises Transient."""
        async with self._database.read() as tx:
            return OpenAttempts(tuple(await query_store.list_open_attempts(tx, scope)))

    async def still_open(self, ids: Sequence[tuple[str, int]]) -> int:
        """How many of these attempts are still open. Raises Transient."""
        async with self._database.read() as tx:
            return await query_store.count_open_attempts(tx, ids)

"""How far erasures are in a service, for the orchestrator, which tells people."""

from collections.abc import Sequence

from schemas.service_api import ErasureProgress
from services.erasure import store
from services.kit.db.database import Database


async def read_progress(database: Database, pseudonyms: Sequence[str]) -> tuple[ErasureProgress, ...]:
    """The erasures of these customers; one of whom the service has heard nothing is absent."""
    async with database.read() as tx:
        found = await store.load_erasures(tx, pseudonyms)
    return tuple(
        ErasureProgress(each.pseudonym, each.recorded, each.finished, each.rows, each.hashes) for each in found.values()
    )

"""How far erasures are in a service, for the orchestrator, which tells people."""

from collections.abc import Sequence

from schemas.erasures import ErasureProgress, StoreErasure
from services.erasure import store
from services.erasure.erased_stores import ErasedStore
from services.erasure.store import ErasedRows
from services.kit.db.database import Database


async def read_progress(
    database: Database, pseudonyms: Sequence[str], stores: Sequence[ErasedStore]
) -> tuple[ErasureProgress, ...]:
    """The erasures of these customers, with what became of each of the service's tables; one of whom the service has
    heard nothing is absent.
    """
    async with database.read() as tx:
        found = await store.load_erasures(tx, pseudonyms)
        rows = await store.load_rows(tx, pseudonyms)
    return tuple(
        ErasureProgress(
            each.pseudonym,
            each.recorded,
            each.finished,
            each.rows,
            each.hashes,
            tuple(_table_progress(declared, rows.get(each.pseudonym, {}).get(declared.table)) for declared in stores),
        )
        for each in found.values()
    )


def _table_progress(declared: ErasedStore, recorded: ErasedRows | None) -> StoreErasure:
    rows, at = (None, None) if recorded is None else recorded
    return StoreErasure(declared.table, declared.action, declared.remains, rows, at)

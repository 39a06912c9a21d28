"""Keeps the situation kinds of the active policy compiled in memory, for the consumer and the API."""

from schemas.documents import validate_document
from schemas.policy import SituationKind
from services.kit.db.database import Tx
from services.suppression.situation_intervals import CompileCondition, SituationKinds, compile_kinds
from services.suppression.store import situation_store


class SituationKindsCache:
    """The compiled situation kinds of the active policy; compiled again only when the stored ones change."""

    def __init__(self, compile_condition: CompileCondition) -> None:
        self._compile = compile_condition
        self._seq = -1
        self._kinds = compile_kinds((), compile_condition)

    async def current(self, tx: Tx) -> SituationKinds:
        """The kinds as of this transaction."""
        active = await situation_store.get_active_situations(tx, self._seq)
        if active is not None:
            documents = [validate_document(SituationKind, document) for document in active.situations]
            self._kinds, self._seq = compile_kinds(documents, self._compile), active.seq
        return self._kinds

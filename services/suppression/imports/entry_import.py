"""What an import of do-not-contact entries does to its rows, and when it is in force."""

from collections.abc import Callable, Sequence
from typing import Final

from services.bulk_import import row_results
from services.bulk_import.import_steps import AppliedRows
from services.bulk_import.import_store import ImportJob, ImportStore
from services.bulk_import.row_results import RowResult
from services.kit.db.database import Tx
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import parse_suppression
from services.suppression.entry_registration import AddResult, HashedSuppression, SuppressionList
from services.suppression.imports import live_check
from services.suppression.imports.entry_columns import ENTRY_LAYOUT
from services.suppression.imports.live_check import AskFacts
from services.suppression.imports.rehearsal import rehearse_documents
from services.suppression.metrics import SuppressionMetrics
from services.suppression.suppression_enforcement import EVERY_ATTEMPT, SuppressionEnforcer

ENTRY_IMPORTS: Final = ImportStore("suppression_import", rehearsal="suppression_import_rehearsal")
_WAITING: Final = "messages that were being handed over before the last row was applied are not through yet"


class EntryImport:
    """The import of a do-not-contact list (see `ImportSteps`)."""

    layout = ENTRY_LAYOUT

    def __init__(
        self,
        suppression_list: SuppressionList,
        clock: Clock,
        metrics: SuppressionMetrics,
        enforcer: SuppressionEnforcer,
        ask_facts: AskFacts,
        fingerprint: str,
        count_questions: Callable[[], int],
    ) -> None:
        """`ask_facts`: the question that decisions ask; `fingerprint`: of the address key; `count_questions`: how many
        of these questions there were so far.
        """
        self._suppression_list = suppression_list
        self._clock = clock
        self._metrics = metrics
        self._enforcer = enforcer
        self._ask_facts = ask_facts
        self._fingerprint = fingerprint
        self.count_questions = count_questions

    def read_row(self, job: ImportJob, plain: object) -> HashedSuppression:
        """The entry of a row. Raises DocumentError."""
        if isinstance(plain, dict):
            plain = {"source": f"import {job.id}", **plain}
        # An entry without `at` holds from the beginning of the import, whenever its turn comes.
        return self._suppression_list.hash_document(parse_suppression(plain, job.created))

    async def apply(self, tx: Tx, job: ImportJob, rows: Sequence[tuple[int, HashedSuppression]]) -> AppliedRows:
        """Add the entries, and take the first that was added as a probe of this part."""
        sample = live_check.unpack(job.probes)
        added = await self._add(tx, job, [document for _, document in rows])
        results: list[RowResult] = []
        is_sampled = False
        for (number, document), result in zip(rows, added, strict=True):
            if result.status == "erased":
                results.append(row_results.refuse_erased(number))
                continue
            results.append(RowResult(number, result.status, result.id))
            if not is_sampled:
                sample.count_part(live_check.make_probe(number, document))
                is_sampled = True
        return AppliedRows(results, live_check.pack(sample))

    async def _add(self, tx: Tx, job: ImportJob, documents: Sequence[HashedSuppression]) -> list[AddResult]:
        if job.dry_run:
            return await rehearse_documents(tx, self._suppression_list, job.id, documents, job.created)
        return await self._suppression_list.add_documents(tx, documents, job.requested_by, self._clock.now())

    async def find_loss(self, job: ImportJob) -> str | None:
        """Which of the probes are not in force."""
        probes = live_check.unpack(job.probes).probes
        missing = await live_check.find_missing(self._ask_facts, self._fingerprint, probes)
        if not missing:
            return None
        rows = ", ".join(map(str, missing[:5]))
        return (
            f"{len(missing)} of {len(probes)} rows that were asked about are not in force, such as row {rows}: "
            "somebody has removed their entries meanwhile, or the database has lost them. Import the file again"
        )

    async def find_waiting(self, job: ImportJob) -> str | None:
        """Whether messages that the entries forbid may still be under way."""
        if not live_check.unpack(job.probes).probes:
            return None
        return None if (await self._enforcer.enforce([EVERY_ATTEMPT], "suppression")).enforced else _WAITING

    def count_imported_rows(self, results: Sequence[RowResult]) -> None:
        """Count rows by result."""
        for each in results:
            self._metrics.imported_rows(each.outcome).inc()

    def count_end(self, state: str) -> None:
        """Count an import that has ended."""
        self._metrics.imports(state).inc()

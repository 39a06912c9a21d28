"""What a kind of import does to its rows: what the runner asks of suppressions, customers, situations and so on."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from services.bulk_import.import_series import ImportSeries
from services.bulk_import.import_store import ImportJob
from services.bulk_import.row_formats import RowLayout
from services.bulk_import.row_results import RowResult
from services.kit.db.database import Tx

Document = TypeVar("Document")


class AppliedRows(NamedTuple):
    """One result for each row, and what the check at the end is to ask about, packed."""

    results: Sequence[RowResult]
    probes: bytes | None = None


class ImportSteps(Protocol[Document]):
    """One kind of import."""

    layout: RowLayout

    def read_row(self, job: ImportJob, plain: object) -> Document:
        """The document of a row. Raises DocumentError."""

    async def apply(self, tx: Tx, job: ImportJob, rows: Sequence[tuple[int, Document]]) -> AppliedRows:
        """Applies rows, each with the number of its line, in the transaction that deletes their part. A dry run finds
        the same results, and changes nothing but what it keeps for itself.
        """

    async def find_loss(self, job: ImportJob) -> str | None:
        """Once all rows are applied: why the import has failed all the same; None when they are in force."""

    async def find_waiting(self, job: ImportJob) -> str | None:
        """What has to end before the rows are in force for every message; None when nothing has to."""

    def count_questions(self) -> int:
        """How many questions this process has answered for decisions so far: an import gives way to them."""

    def count_imported_rows(self, results: Sequence[RowResult]) -> None:
        """Counts rows that have had their turn, after the commit."""

    def count_end(self, state: str) -> None:
        """Counts an import that has ended."""


class CountedImport:
    """What most kinds share: rows that are in force once they are applied, and are counted under the kind's name."""

    kind: str
    """The label in metrics."""

    def __init__(self, series: ImportSeries) -> None:
        self._series = series

    async def find_loss(self, job: ImportJob) -> str | None:
        """Never: rows are applied to what decisions read."""
        return None

    async def find_waiting(self, job: ImportJob) -> str | None:
        """Nothing, unless a kind says otherwise."""
        return None

    def count_imported_rows(self, results: Sequence[RowResult]) -> None:
        """Count rows by result."""
        self._series.count_imported_rows(self.kind, results)

    def count_end(self, state: str) -> None:
        """Count an import that has ended."""
        self._series.count_end(self.kind, state)

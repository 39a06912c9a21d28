"""The metrics of imports. The label sets are closed."""

from collections.abc import Sequence

from services.bulk_import.row_results import OUTCOMES, RowResult
from services.kit.observability.metrics import Registry, counter

IMPORT_ENDS = ("done", "failed")


class ImportSeries:
    """Imports that have ended, and rows that have had their turn, of the kinds that a service takes."""

    def __init__(self, registry: Registry, *kinds: str) -> None:
        self._imports = counter(
            registry,
            "imports_total",
            "Imports of customers, consents, contacts and situations that have ended, by how",
            {"kind": kinds, "result": IMPORT_ENDS},
        )
        self._rows = counter(
            registry,
            "imported_rows_total",
            "Rows of these imports that have had their turn, those of dry runs included, by result",
            {"kind": kinds, "result": OUTCOMES},
        )

    def count_imported_rows(self, kind: str, results: Sequence[RowResult]) -> None:
        """Count rows by result, after the commit."""
        for outcome in OUTCOMES:
            self._rows(kind, outcome).inc(sum(each.outcome == outcome for each in results))

    def count_end(self, kind: str, state: str) -> None:
        """Count an import that has ended."""
        self._imports(kind, state).inc()

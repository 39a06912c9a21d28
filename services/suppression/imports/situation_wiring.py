"""Builds the import of situations."""

from collections.abc import Callable
from typing import Final

from services.bulk_import.import_routes import ImportPaths
from services.bulk_import.import_series import ImportSeries
from services.bulk_import.sealed_parts import PartSeal
from services.bulk_import.wiring import IMPORT_ACTION, BulkImport
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.suppression.imports.situation_import import SITUATION_IMPORTS, ImportedCase, SituationImport
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.suppression_enforcement import SuppressionEnforcer

SITUATION_PATHS: Final = ImportPaths(
    "/v1/imports/situations",
    "imports",
    read=IMPORT_ACTION,
    write=IMPORT_ACTION,
    example="customer;kind;ref;opened;closed;reason\r\nc-1;complaint;case-12;2026-02-24T09:00:00Z;;by phone\r\n",
    kind="situations",
)


def build_situation_import(
    database: Database,
    seal: PartSeal,
    clock: Clock,
    registry: Registry,
    kinds: SituationKindsCache,
    erased: ErasedCustomers,
    enforcer: SuppressionEnforcer,
    count_questions: Callable[[], int],
) -> BulkImport[ImportedCase]:
    """The import of situations. `count_questions`: how many questions of decisions there were so far."""
    series = ImportSeries(registry, SituationImport.kind)
    steps = SituationImport(kinds, erased, enforcer, clock, series, count_questions)
    return BulkImport(SITUATION_PATHS, SITUATION_IMPORTS, steps, database, seal, clock)

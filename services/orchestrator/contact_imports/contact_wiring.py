"""Builds the import of past contacts."""

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
from services.orchestrator.contact_imports.contact_import import CONTACT_IMPORTS, ContactImport, ContactRow

CONTACT_PATHS: Final = ImportPaths(
    "/v1/imports/contacts",
    "imports",
    read=IMPORT_ACTION,
    write=IMPORT_ACTION,
    example="customer;at;channel;class;topic;campaign\r\nc-1;2026-02-24T09:00:00Z;email;marketing;news;spring-2026\r\n",
    kind="contacts",
)


def build_contact_import(
    database: Database,
    address_key: bytes,
    clock: Clock,
    registry: Registry,
    erased: ErasedCustomers,
    count_questions: Callable[[], int],
) -> BulkImport[ContactRow]:
    """The import of past contacts. `count_questions`: how many batches this process has decided so far."""
    steps = ContactImport(erased, clock, ImportSeries(registry, ContactImport.kind), count_questions)
    return BulkImport(CONTACT_PATHS, CONTACT_IMPORTS, steps, database, PartSeal(address_key), clock)

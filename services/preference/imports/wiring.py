"""Builds the imports of this service."""

from typing import Final

from services.bulk_import.event_rows import EventRow
from services.bulk_import.import_routes import ImportPaths
from services.bulk_import.import_series import ImportSeries
from services.bulk_import.sealed_parts import PartSeal
from services.bulk_import.wiring import IMPORT_ACTION, BulkImport
from services.clients.opt_out_barrier import OptOutBarrier
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.preference.facts_endpoint import PreferenceFacts
from services.preference.imports.preference_import import (
    CONSENT_IMPORTS,
    CUSTOMER_IMPORTS,
    ConsentImport,
    CustomerImport,
)
from services.preference.settings import PreferenceSettings

CUSTOMER_PATHS: Final = ImportPaths(
    "/v1/imports/customers",
    "imports",
    read=IMPORT_ACTION,
    write=IMPORT_ACTION,
    example="customer;locale;channel;address;trait.tier\r\nc-1;de;email;ada@example.org;gold\r\n",
    kind="customers",
)
CONSENT_PATHS: Final = ImportPaths(
    "/v1/imports/consents",
    "imports",
    read=IMPORT_ACTION,
    write=IMPORT_ACTION,
    example=(
        "customer;channel;topic;status;at;source;wording;basis\r\n"
        "c-1;email;news;granted;2024-05-01T09:00:00Z;shop form;newsletter-3;consent\r\n"
    ),
    kind="consents",
)


def build_imports(
    settings: PreferenceSettings,
    database: Database,
    clock: Clock,
    registry: Registry,
    erased: ErasedCustomers,
    facts: PreferenceFacts,
    barrier: OptOutBarrier,
) -> list[BulkImport[EventRow]]:
    """The imports of customers and of consents."""
    series, seal = (
        ImportSeries(registry, CustomerImport.kind, ConsentImport.kind),
        PartSeal(settings.require("address_key").encode()),
    )
    shared = (clock, settings.region, erased, settings.consent.terms, facts, series, barrier)
    return [
        BulkImport(CUSTOMER_PATHS, CUSTOMER_IMPORTS, CustomerImport(*shared), database, seal, clock),
        BulkImport(CONSENT_PATHS, CONSENT_IMPORTS, ConsentImport(*shared), database, seal, clock),
    ]

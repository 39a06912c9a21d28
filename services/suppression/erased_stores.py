"""What becomes of each table of the suppression service when a customer is erased."""

from typing import Final

from services.bulk_import.table_notes import erased_import_stores
from services.erasure.erased_stores import SHARED_IMPERSONAL, SHARED_STORES, ErasedStore

ERASED_STORES: Final = (
    ErasedStore("customer_state", "removed"),
    ErasedStore("situation_event", "removed"),
    ErasedStore("quarantine", "removed"),
    ErasedStore("inbox", "removed"),
    ErasedStore(
        "suppression_entry",
        "anonymised",
        "entries of the id and of the addresses stay for the count of the lists, under the pseudonym or none, without "
        "masked addresses, sources, notes and reasons that somebody typed; an entry with the reason erased is added",
    ),
    ErasedStore(
        "address_entry",
        "kept",
        "keyed hashes of the id and of the addresses: the person must not be written to again, and nobody can get an "
        "address from them",
    ),
    ErasedStore("removal_request", "anonymised", "who asked for which removal and who decided, for audits"),
    ErasedStore("suppression_import", "kept", "numbers of rows of a file, and samples of hashes for 30 days"),
    ErasedStore("suppression_import_part", "kept", "rows of a file that wait to be applied, sealed, for minutes"),
    ErasedStore("suppression_import_rehearsal", "kept", "keyed hashes of addresses, while a dry run goes on"),
    ErasedStore("suppression_import_result", "kept", "numbers and ids of entries, without addresses, for 30 days"),
    *erased_import_stores("situation_import"),
    ErasedStore("recent_change", "kept", "on PostgreSQL 64 bits of a hash of the id, for two to three minutes"),
    *SHARED_STORES,
)
IMPERSONAL: Final = frozenset({"hold", "situation_kinds", "settled", "alert", "change_horizon", *SHARED_IMPERSONAL})
"""Tables that hold nothing of a person."""

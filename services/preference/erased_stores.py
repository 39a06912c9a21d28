"""What becomes of each table of the preference service when a customer is erased."""

from typing import Final

from services.bulk_import.table_notes import erased_import_stores
from services.erasure.erased_stores import SHARED_IMPERSONAL, SHARED_STORES, ErasedStore

ERASED_STORES: Final = (
    ErasedStore("preference_state", "removed"),
    ErasedStore("customer_lookup", "removed"),
    ErasedStore("preference_change", "removed"),
    ErasedStore("consent_request", "removed"),
    ErasedStore("address_verification", "removed"),
    ErasedStore("address_report_example", "removed"),
    ErasedStore("preference_inbox", "removed"),
    ErasedStore(
        "outgoing",
        "anonymised",
        "a record without a value tells the topic of opt-outs to drop what it has of the customer; then the row goes",
    ),
    *erased_import_stores("customer_import"),
    *erased_import_stores("consent_import"),
    ErasedStore("recent_change", "kept", "on PostgreSQL 64 bits of a hash of the id, for two to three minutes"),
    *SHARED_STORES[:2],
    SHARED_STORES[2]._replace(
        remains=f"{SHARED_STORES[2].remains}; and keyed hashes of all addresses that were known, by which the do-not-"
        "contact list keeps the person from being written to again"
    ),
    *SHARED_STORES[3:],
)
IMPERSONAL: Final = frozenset(
    {
        *("topic_catalogue", "consent_wording", "settled", "out_topic", "change_horizon", "address_report"),
        *SHARED_IMPERSONAL,
    }
)
"""Tables that hold nothing of a person. Texts that consents name are each stored once, for all."""

"""For how long the preference service keeps what it has, and why the rest has no end of its own."""

from collections.abc import Mapping
from typing import Final

from services.bulk_import.table_notes import endless_import_tables
from services.clients.retention_settings import RetentionSettings
from services.retention.kept_kinds import AgedRows, KeptKind, aged_kind

INBOX_KEYS: Final = "inbox_keys"
_REPLACED: Final = (
    "EXISTS (SELECT 1 FROM preference_change later WHERE later.customer = preference_change.customer "
    "AND later.field = preference_change.field AND later.seq > preference_change.seq AND later.recorded < :before)"
)
"""Another value was in force before the retention began: nothing within it is told differently without this one."""
_OF_CONSENT: Final = "field IN ('consent', 'opt_outs')"

ENDLESS: Final[Mapping[str, str]] = {
    "preference_state": "what holds now; goes with the customer",
    "customer_lookup": "derived from the state, and changes with it",
    "consent_wording": "texts without customers, which consents name for as long as they are proof",
    "consent_request": "goes 30 days after its time is over by a job of its own",
    "address_report": "the last report alone: counts without customers",
    "address_report_example": "the last report alone, made anew every six hours",
    "address_verification": "goes 30 days after its time is over by a job of its own",
    "topic_catalogue": "one row: the topics of the active policy",
    "settled": "one row a job of an upgrade",
    **endless_import_tables("customer_import"),
    **endless_import_tables("consent_import"),
    "erasure": "pseudonyms of erased customers, which keep anything new of them out",
    "erased_rows": "numbers by those pseudonyms: the proof of an erasure, which may be asked for at any time",
    "dead_letter": "an open one waits for a person (alert TactfulDeadLettersOld); a closed one goes after 30 days",
    "idempotency": "stored answers go after 24 hours by a job of their own",
    "outgoing": "goes when it has been published; under names that no topic has, after a day",
    "out_topic": "one row a topic",
    "partition_lease": "one row a partition of the log",
    "schema_version": "one row: the step of the schema",
    "record_in_hand": "at most one row a partition and mark",
    "change_horizon": "one row: how far changes may be asked for",
    "recent_change": "goes after two minutes by a job of its own",
}
"""Tables without a retention, each with the reason."""


def list_kept_kinds(settings: RetentionSettings) -> tuple[KeptKind, ...]:
    """The kinds of this service. How long marks of applied events stay is known once the topic has been asked."""
    return (
        aged_kind(INBOX_KEYS, None, AgedRows("preference_inbox", "received")),
        aged_kind(
            "history",
            settings.history,
            AgedRows("preference_change", "recorded", key="seq", only=f"NOT {_OF_CONSENT} AND {_REPLACED}"),
        ),
        aged_kind(
            "consent_proof",
            settings.consent_proof,
            AgedRows("preference_change", "recorded", key="seq", only=f"{_OF_CONSENT} AND {_REPLACED}"),
        ),
    )

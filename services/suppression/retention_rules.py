"""For how long the suppression service keeps what it has, and why the rest has no end of its own."""

from collections.abc import Mapping
from typing import Final

from services.bulk_import.table_notes import endless_import_tables
from services.clients.retention_settings import RetentionSettings
from services.retention.kept_kinds import AgedRows, KeptKind, aged_kind

INBOX_KEYS: Final = "inbox_keys"
_OVER: Final = (
    "EXISTS (SELECT 1 FROM situation_event ended WHERE ended.customer = situation_event.customer "
    "AND ended.kind = situation_event.kind AND ended.ref = situation_event.ref "
    "AND (ended.action IN ('closed', 'withdrawn') OR (ended.action = 'corrected' AND ended.closed IS NOT NULL)) "
    "AND ended.seq >= situation_event.seq AND ended.recorded < :before)"
)
"""The situation was closed before the retention began."""
_ENDED: Final = "reason <> 'erased'"

ENDLESS: Final[Mapping[str, str]] = {
    "customer_state": "what holds now; goes with the customer",
    "suppression_import": "goes 30 days after its end, with its results, by a job of its own",
    "suppression_import_part": "goes when its rows have been applied",
    "suppression_import_result": "goes with its import",
    "suppression_import_rehearsal": "goes when its dry run ends",
    **endless_import_tables("situation_import"),
    "removal_request": "who removed an entry, by whose word and why: an audit needs it for as long as there is one",
    "situation_kinds": "the situations of each policy version, without customers",
    "settled": "one row a name: the fingerprint of the address key, and such",
    "alert": "goes 90 days after its last notification",
    "erasure": "pseudonyms of erased customers, which keep anything new of them out",
    "erased_rows": "numbers by those pseudonyms: the proof of an erasure, which may be asked for at any time",
    "dead_letter": "an open one waits for a person (alert TactfulDeadLettersOld); a closed one goes after 30 days",
    "idempotency": "stored answers go after 24 hours by a job of their own",
    "partition_lease": "one row a partition of the log",
    "schema_version": "one row: the step of the schema",
    "record_in_hand": "at most one row a partition and mark",
    "change_horizon": "one row: how far changes may be asked for",
    "recent_change": "goes after two minutes by a job of its own",
}
"""Tables without a retention, each with the reason."""


def list_kept_kinds(settings: RetentionSettings) -> tuple[KeptKind, ...]:
    """The kinds of this service. How long marks of applied events stay is known once the topic has been asked.

    Entries in force and open situations stay, however old they are.
    """
    return (
        aged_kind(INBOX_KEYS, None, AgedRows("inbox", "received")),
        aged_kind(
            "history",
            settings.history,
            AgedRows("situation_event", "recorded", key="seq", only=_OVER),
            AgedRows("quarantine", "COALESCE(ended, until)"),
            AgedRows("hold", "ended_at"),
            AgedRows("address_entry", "expires", only=_ENDED),
            AgedRows("suppression_entry", "COALESCE(removed_at, expires)", only=_ENDED),
        ),
    )

"""What the suppression service tells about a customer, and which tables have nothing to tell."""

from collections.abc import Mapping
from typing import Any, Final

from services.bulk_import.table_notes import untold_import_tables
from services.subject_export.sections import ExportSection, named
from services.suppression.suppression_state import unpack

UNTOLD: Final[Mapping[str, str]] = {
    "address_entry": "keyed hashes of addresses; their entries are told by `suppression_entry`",
    "hold": "stops of whole scopes by operators, not about customers",
    "alert": "nothing about customers",
    "situation_kinds": "nothing about customers",
    "settled": "nothing about customers",
    "suppression_import": "files that somebody imported, not about one customer",
    "suppression_import_part": "rows that wait, sealed, for minutes; `suppression_entry` tells what becomes of them",
    "suppression_import_rehearsal": "hashes of addresses in a dry run, for minutes; nothing was done by it",
    "suppression_import_result": "numbers of rows, without addresses",
    **untold_import_tables("situation_import", "situation_event"),
    "idempotency": "answers kept for 24 hours for repeated requests, of what the other sections tell",
    "partition_lease": "nothing about customers",
    "record_in_hand": "nothing about customers",
    "schema_version": "nothing about customers",
    "recent_change": "ids for two minutes, without contents",
    "change_horizon": "nothing about customers",
    "erasure": "an erased customer has no export",
    "erased_rows": "an erased customer has no export",
}


def _describe_state(row: dict[str, Any]) -> dict[str, Any]:
    return {"version": row["version"], **named(unpack(bytes(row["body"])))}


SECTIONS: Final = (
    ExportSection("customer_state", "Why you are not written to now", ("version",), describe=_describe_state),
    ExportSection(
        "suppression_entry",
        "Entries on the do-not-contact list, of you and of your addresses",
        ("id",),
        "customer = :customer OR id IN (SELECT address_entry.id FROM address_entry WHERE {hashes})",
    ),
    ExportSection(
        "removal_request",
        "Who asked to take such an entry out, and who decided",
        ("requested_at", "id"),
        "entry_id IN (SELECT suppression_entry.id FROM suppression_entry WHERE customer = :customer) "
        "OR entry_id IN (SELECT address_entry.id FROM address_entry WHERE {hashes})",
    ),
    ExportSection("situation_event", "Situations, such as complaints, as they began and ended", ("seq",)),
    ExportSection("quarantine", "Times at which nothing was sent because a record could not be read", ("seq",)),
    ExportSection("inbox", "Events about situations that were applied", ("source", "event_id")),
    ExportSection(
        "dead_letter",
        "Records about situations that could not be read",
        ("id",),
        "customer = :customer OR key = :key",
    ),
)

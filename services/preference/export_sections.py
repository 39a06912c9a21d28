"""What the preference service tells about a customer, and which tables have nothing to tell."""

from collections.abc import Mapping
from typing import Any, Final

from services.bulk_import.table_notes import untold_import_tables
from services.kit.db.column_cipher import ColumnCipher
from services.preference.consents.request_store import read_proof
from services.preference.document_form import preference_document
from services.preference.preference_state import to_facts, unpack
from services.preference.sealed_columns import CHANGE_COLUMN, STATE_COLUMN
from services.subject_export.sections import ExportSection, named

_LETTERS: Final = "customer = :customer OR key = :key"

UNTOLD: Final[Mapping[str, str]] = {
    "customer_lookup": "keys made of names and addresses that `preference_state` tells",
    "address_report": "nothing about customers",
    "address_report_example": "ids of customers, made of what `preference_state` tells",
    "topic_catalogue": "nothing about customers",
    "settled": "nothing about customers",
    "consent_wording": "texts that consents name, not about customers",
    "outgoing": "copies of opt-outs on their way to a topic, for seconds; `preference_state` tells them",
    "out_topic": "nothing about customers",
    **untold_import_tables("customer_import", "preference_state"),
    **untold_import_tables("consent_import", "preference_state"),
    "idempotency": "answers kept for 24 hours for repeated requests, of what the other sections tell",
    "partition_lease": "nothing about customers",
    "record_in_hand": "nothing about customers",
    "schema_version": "nothing about customers",
    "recent_change": "ids for two minutes, without contents",
    "change_horizon": "nothing about customers",
    "erasure": "an erased customer has no export",
    "erased_rows": "an erased customer has no export",
}


def _describe_request(row: dict[str, Any]) -> dict[str, Any]:
    proof: dict[str, Any] = named(read_proof(bytes(row["body"])))
    return {name: value for name, value in row.items() if name != "body"} | proof


def list_sections(region: str | None, columns: ColumnCipher) -> tuple[ExportSection, ...]:
    """The sections. `region`: the organisation's country. `columns`: opens what is sealed."""

    def describe_state(row: dict[str, Any]) -> dict[str, Any]:
        state = columns.open(STATE_COLUMN, row["customer"], bytes(row["state"]))
        return preference_document(to_facts(unpack(state, region))) | {"version": row["version"]}

    def describe_change(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"value": columns.open(CHANGE_COLUMN, row["customer"], bytes(row["value"]))}

    return (
        ExportSection(
            "preference_state",
            "What is known of you now: traits, addresses, consents, opt-outs",
            ("version",),
            describe=describe_state,
        ),
        ExportSection(
            "preference_change",
            "Every change of that, when it came and from whom",
            ("seq",),
            describe=describe_change,
        ),
        ExportSection(
            "consent_request",
            "Consents that you were asked to confirm",
            ("requested", "id"),
            describe=_describe_request,
        ),
        ExportSection(
            "address_verification", "Messages by which you were asked to verify an address", ("requested", "id")
        ),
        ExportSection("preference_inbox", "Events about your preferences that were applied", ("source", "event_id")),
        ExportSection("dead_letter", "Records about your preferences that could not be read", ("id",), _LETTERS),
    )

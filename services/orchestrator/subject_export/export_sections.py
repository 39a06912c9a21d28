"""What the orchestrator tells about a customer, and which tables have nothing to tell."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.decision import Decision
from services.bulk_import.table_notes import untold_import_tables
from services.orchestrator.explain.wording import summarise_reason
from services.subject_export.sections import ExportSection, named

_decode_decision = msgspec.msgpack.Decoder(Decision).decode
_QUEUE: Final = "places of a message in a queue; `message` tells its state"

UNTOLD: Final[Mapping[str, str]] = {
    "ledger": "counts contacts; `contact_history` tells each of them",
    "handover": "a list of messages that were handed over together; `message` and `attempt` tell what became of each",
    "outbox": _QUEUE,
    "timer": _QUEUE,
    "parked": _QUEUE,
    "app_message_head": "two counters",
    "outgoing": "states of messages on their way to a topic, for seconds; `message` tells them",
    "simulation": "what would have been sent to many, for 30 days; nothing was done by it",
    "redrive_job": "who let records be applied again, not about customers",
    "redrive_item": "what became of a dead letter; `dead_letter` tells it",
    "idempotency": "answers kept for 24 hours for repeated requests, of what the other sections tell",
    "subject_export": "this export, and others",
    "subject_export_part": "this export, and others",
    "erasure": "an erased customer has no export",
    "erased_rows": "an erased customer has no export",
    **untold_import_tables("contact_import", "contact_history"),
    "audit_entry": "who asked for what, and about whom by pseudonym; `tactful audit export` tells it",
    **dict.fromkeys(
        (
            "api_key",
            "session",
            "sign_in_link",
            "sign_in_attempt",
            "person",
            "agent_budget",
            "facts_fence",
            "audit_cursor",
            "shadow_count",
            "seen_name",
            "campaign",
        )
        + ("campaign_version", "policy_version", "catalogue_state", "catalogue_log", "hold_release", "shard_lease")
        + ("dispatcher", "adapter_pace", "adapter_trouble", "out_topic", "partition_lease", "record_in_hand")
        + ("schema_version", "audit_chain", "audit_head"),
        "nothing about customers",
    ),
}


def _describe_decision(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"body": None} | _in_words(row["body"])


def _describe_sample(row: dict[str, Any]) -> dict[str, Any]:
    return row if row["decision"] is None else row | {"decision": None} | _in_words(row["decision"])


def _in_words(packed: bytes) -> dict[str, Any]:
    decision = _decode_decision(bytes(packed))
    return {"in_words": summarise_reason(decision), "decided": named(decision)}


SECTIONS: Final = (
    ExportSection(
        "decision",
        "What was decided about messages to you, why, and on which event",
        ("decision_id",),
        describe=_describe_decision,
    ),
    ExportSection("message", "Messages to you, with their contents", ("message_id",)),
    ExportSection("attempt", "Attempts to send them that were not accepted", ("attempt_id",)),
    ExportSection("receipt", "What providers and you have told about them", ("seq",)),
    ExportSection("undecided_reply", "Replies of yours that a person had to read", ("seq",)),
    ExportSection("contact_history", "Contacts that are counted", ("seq",)),
    ExportSection("inbox", "Other events about you", ("source", "event_id")),
    ExportSection("accepted_event", "Events about you that were taken lately", ("topic", "partition", "log_offset")),
    ExportSection("app_message", "Messages in your inbox", ("message_id",)),
    ExportSection("sandbox_message", "Messages that were kept here instead of being sent", ("message_id",)),
    ExportSection(
        "shadow_sample",
        "What rules on trial would have decided",
        ("sample_id",),
        describe=_describe_sample,
    ),
    ExportSection("violation", "Findings of the auditor", ("seq",)),
    ExportSection(
        "dead_letter", "Records about you that could not be read", ("id",), "customer = :customer OR key = :key"
    ),
)

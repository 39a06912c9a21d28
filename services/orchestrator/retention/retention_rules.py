"""For how long the orchestrator keeps what it has, and why the rest has no end of its own."""

from collections.abc import Mapping
from typing import Final

from services.bulk_import.table_notes import endless_import_tables
from services.clients.retention_settings import RetentionSettings
from services.orchestrator.retention import store
from services.orchestrator.retention.content_expiry import ContentExpiry
from services.retention.kept_kinds import AgedRows, KeptKind, aged_kind

_WITH_DECISIONS: Final = ("decision", "inbox", "message", "attempt", "receipt", "undecided_reply", "handover")

ENDLESS: Final[Mapping[str, str]] = {
    "ledger": "one row a customer, which caps read; old contacts are dropped from it; stays under a pseudonym",
    "contact_history": "a rule that comes into force may look back at any time; it holds no contents or addresses, and "
    "stays under a pseudonym",
    **endless_import_tables("contact_import"),
    "agent_budget": "a number an agent and day; goes after 7 days, when somebody sends the next message",
    "accepted_event": "goes after 7 days by a job of its own",
    "app_message": "goes after KEEP_DAYS of the adapter, with its decision, or when there are 500 newer ones",
    "app_message_head": "one row a customer with an inbox: two counters",
    "outbox": "goes when its message has been claimed",
    "timer": "goes when its message ends",
    "parked": "goes when its message ends",
    "facts_fence": "one row a partition",
    "violation": "the newest 10,000 are kept, since an auditor must see them",
    "audit_cursor": "one row",
    "shadow_count": "numbers without customers; of the newest five versions",
    "seen_name": "names without values; goes after days of its own",
    "campaign": "documents, without customers",
    "campaign_version": "documents, without customers",
    "policy_version": "documents, without customers",
    "catalogue_state": "one row",
    "catalogue_log": "who changed and approved documents, which an audit needs for as long as there is one",
    "api_key": "a revoked key stays, since the log of changes names it",
    "audit_entry": "who asked for what, and about whom by pseudonym: a chain, of which nothing can be taken out",
    "audit_chain": "one row: the end of that chain",
    "audit_head": "one row an hour: signed ends of that chain, which prove it",
    "hold_release": "one row a hold that is being released",
    "shard_lease": "one row a shard",
    "dispatcher": "goes when its process has been silent for a while",
    "adapter_pace": "one row an adapter",
    "adapter_trouble": "goes with its process, or when it is forgotten",
    "erasure": "pseudonyms of erased customers, which keep anything new of them out",
    "erased_rows": "numbers by those pseudonyms: the proof of an erasure, which may be asked for at any time",
    "dead_letter": "an open one waits for a person (alert TactfulDeadLettersOld); a closed one goes after 30 days",
    "idempotency": "stored answers go after 24 hours by a job of their own",
    "outgoing": "goes when it has been published; under names that no topic has, after a day",
    "out_topic": "one row a topic",
    "partition_lease": "one row a partition of the log",
    "schema_version": "one row: the step of the schema",
    "record_in_hand": "at most one row a partition and mark",
    "session": "goes when it has ended or expired",
    "sign_in_attempt": "goes when it has ended, or with the next one after ten minutes",
    "person": "who may sign in, whom the log of changes names",
    "sign_in_link": "goes when it was used or has expired",
}
"""Tables without a retention, each with the reason."""


def list_kept_kinds(settings: RetentionSettings) -> tuple[KeptKind, ...]:
    """The kinds of this service."""
    contents = ContentExpiry()
    jobs = aged_kind("jobs", settings.jobs, AgedRows("redrive_job", "finished"), AgedRows("simulation", "finished"))
    return (
        KeptKind("contents", settings.contents, ("message",), (contents.strip,), contents.oldest),
        KeptKind("decisions", settings.decisions, _WITH_DECISIONS, store.DECISION_STEPS, store.oldest_decision),
        aged_kind("shadow", settings.shadow, AgedRows("shadow_sample", "time", key="sample_id")),
        aged_kind("sandbox", settings.sandbox, AgedRows("sandbox_message", "at")),
        aged_kind(
            "exports",
            settings.exports,
            AgedRows("subject_export_part", "at"),
            AgedRows("subject_export", "created"),
        ),
        jobs._replace(tables=("redrive_item", *jobs.tables), steps=(store.delete_redrive_items, *jobs.steps)),
    )

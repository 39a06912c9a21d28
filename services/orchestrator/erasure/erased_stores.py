"""What becomes of each table of the orchestrator when a customer is erased."""

from typing import Final

from services.bulk_import.table_notes import erased_import_stores
from services.erasure.erased_stores import SHARED_IMPERSONAL, SHARED_STORES, ErasedStore

_COUNTED: Final = "for counts and audits, under the pseudonym"

ERASED_STORES: Final = (
    ErasedStore("decision", "anonymised", f"campaign, outcome and reasons, {_COUNTED}; no evidence, no event"),
    ErasedStore("message", "anonymised", f"campaign, channel, state and times, {_COUNTED}; no address, no contents"),
    ErasedStore("attempt", "anonymised", f"adapter, outcome and times, {_COUNTED}"),
    ErasedStore("handover", "anonymised", "ids of messages that were handed over together; no answers of providers"),
    ErasedStore("receipt", "anonymised", f"what became of a message, {_COUNTED}; no texts of providers or customers"),
    ErasedStore("undecided_reply", "anonymised", "that somebody replied, and who decided about it"),
    ErasedStore("ledger", "anonymised", f"times and kinds of contacts, {_COUNTED}"),
    ErasedStore("contact_history", "anonymised", f"times and kinds of contacts, {_COUNTED}"),
    ErasedStore("violation", "anonymised", "that an invariant was violated, under the pseudonym"),
    ErasedStore("redrive_item", "anonymised", "that a dead letter was applied again, without words about it"),
    ErasedStore("outgoing", "anonymised", "records on their way to a topic, blanked, for seconds"),
    ErasedStore("inbox", "removed"),
    ErasedStore("accepted_event", "removed"),
    ErasedStore("timer", "removed"),
    ErasedStore("parked", "removed"),
    ErasedStore("outbox", "removed"),
    ErasedStore("shadow_sample", "removed"),
    ErasedStore("sandbox_message", "removed"),
    ErasedStore("app_message", "removed"),
    ErasedStore("app_message_head", "removed"),
    ErasedStore("simulation", "removed"),
    ErasedStore("subject_export", "removed"),
    ErasedStore("subject_export_part", "removed"),
    *erased_import_stores("contact_import"),
    ErasedStore(
        "audit_entry",
        "kept",
        "who did and looked at what, with the customer as a keyed hash: a link of the chain that is taken out would "
        "break the proof of all others",
    ),
    *SHARED_STORES,
)
IMPERSONAL: Final = frozenset(
    {
        *("api_key", "session", "sign_in_link", "facts_fence", "audit_cursor", "shadow_count", "seen_name", "campaign"),
        *("campaign_version", "policy_version", "catalogue_state", "catalogue_log", "hold_release", "shard_lease"),
        *("person", "sign_in_attempt", "agent_budget"),
        *("dispatcher", "adapter_pace", "adapter_trouble", "out_topic", "redrive_job", "audit_chain", "audit_head"),
        *SHARED_IMPERSONAL,
    }
)
"""Tables that hold nothing of a person: they are of operators, documents, processes and counts."""

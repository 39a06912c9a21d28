"""The class of every field of an answer: who may see what it holds. `tests/contracts/test_field_classes.py` proves that
none is missing, and `tests/flow/test_readers.py` asks the running product as every role.


A new field is put into one of these tables, by what it can hold at worst:

- OPERATIONAL: names, times, states, counts, reasons, and texts of ours that name no value of a customer or an event.
  Whoever may call the route sees it.
- PERSONAL: what is known of a customer, what events say, addresses. For roles that may `customers:read`; for others the
  field is null, or the part of the answer that holds it is left out.
- CONTENT: what was written to a customer, with the links that act for them. As PERSONAL.
- SECRET: what opens something. Shown once, to whoever made it.
- DOCUMENTS: models of what people write: campaigns, policies, scopes. As OPERATIONAL.
"""

from collections.abc import Mapping
from typing import Final

ALL: Final = "*"
"""All fields of the model, those to come too."""
EXTENDS: Final[Mapping[str, str]] = {
    "CampaignVersion": "CampaignSummary",
    "CampaignVersionWithFindings": "CampaignVersion",
    "DecisionFields": "Decision",
    "DecisionInWords": "DecisionFields",
    "DecisionSentence": "DecisionFields",
    "HoldHistory": "HoldFields",
    "JobWithItems": "JobFields",
    "MessageWithAttempts": "MessageFields",
    "PlacedHold": "HoldFields",
    "PolicyVersionWithFindings": "PolicyVersion",
    "ListedAddress": "ChangedAddress",
    "Rehearsed": "EffectFields",
    "SimulationResult": "SimulationFields",
    "WholeLetter": "LetterFields",
}
"""Models with the fields of another one beside their own."""
DOCUMENTS: Final = ("Campaign.", "Policy.", "Hold.")
"""Beginnings of the names of their models."""
PERSONAL: Final[Mapping[str, str]] = {
    "ConsentExportContent": ALL,
    "ConsentFields": ALL,
    "ConsentRequestFields": ALL,
    "ContactFields": ALL,
    "Contacts": ALL,
    "Customer.AddressEntry": ALL,
    "Customer.ConsentEvidenceFields": ALL,
    "Customer.ConsentRecord": ALL,
    "Customer.Frequency": ALL,
    "Customer.OptOutEntry": ALL,
    "Customer.OwnQuietHours": ALL,
    "CustomerConsents": ALL,
    "EvidenceAnswer": ALL,
    "MessageFields": "to",
    "ExportedSection": "rows",
    "PreferenceChangeFields": ALL,
    "PreferencesAnswer": ALL,
    "PreviewItem": "facts",
    "QuarantineFields": ALL,
    "RecordPlace": ALL,
    "ListedAddress": "address problem shared_with",
    "AddressFinding": "examples",
    "ReplyFields": "text",
    "SandboxMessage": "to",
    "SituationFields": ALL,
    "Situations": ALL,
    "SignedConsents": "content",
    "TimelineConsent": ALL,
    "TimelineContact": ALL,
    "TimelineHold": ALL,
    "TimelineQuarantine": ALL,
    "TimelineSituation": ALL,
    "TimelineSuppression": ALL,
    "WholeLetter": "content",
    # Within the content of a letter:
    "Bytes": ALL,
    "ContentFields": ALL,
    "HeaderFields": ALL,
}
CONTENT: Final[Mapping[str, str]] = {
    "ClickFields": "link",
    "InboxMessageFields": ALL,
    "MessageFields": "content",
    "PreviewItem": "content",
    "SandboxMessage": "content",
}
SECRET: Final[Mapping[str, str]] = {"CustomerLinks": ALL, "NewKey": "key"}
OPERATIONAL: Final[Mapping[str, str]] = {
    "AdapterFields": ALL,
    "AddressFinding": "finding customers",
    "AddressReportAnswer": ALL,
    "ChangedAddress": "id channel state verified main former",
    "ChannelFindings": ALL,
    "CustomerAddresses": ALL,
    "RemovedAddress": ALL,
    "VerificationFields": ALL,
    "AdapterList": ALL,
    "AdapterTestResult": ALL,
    "AddedEntry": "enforced in_flight id status notes",
    "AlertAnswer": "enforced in_flight items truncated",
    "AlertFields": "fingerprint key status result errors notes",
    "Attempt": "number state outcome detail marked_at closed_at",
    "CampaignFindings": "key version status usable findings",
    "CampaignSummary": (
        "key name owner class intent topic priority trigger audience channels strategy ttl reentry start "
        "end holdout default_locale version status editor submitted_by approved_by approved_at note "
        "created fallback_after active_version active_status"
    ),
    "CampaignVersion": "content",
    "CampaignVersionWithFindings": "findings",
    "ChangedSituation": "customer event_id source applied",
    "ClickFields": "unread",
    "ChannelAnswer": "channel outcome reason sentence",
    "Check": "ok seconds detail required",
    "DeadLetterList": "items next services",
    "Decision": (
        "time message_id customer event campaign version policy_version preference_version channel class "
        "intent topic priority outcome reason rule_id until allowed_from lost_to failure verdicts jumps"
    ),
    "DecisionFields": "decision_id",
    "DecisionInWords": "sentence replay",
    "DecisionSentence": "sentence",
    "EffectFields": "effect detail problems decisions warnings",
    "EnforcedFields": "enforced in_flight",
    "EntryFields": (
        "id customer address_masked scope reason source note at expires added_by added_at automatic removed_by "
        "removed_at remove_reason"
    ),
    "EntryScope": "channel topic classes",
    "ErasedStoreFields": "store action rows at remains",
    "ErasureFields": "pseudonym finished services elsewhere",
    "ExportedSection": "service section title",
    "ExportFields": "id customer state requested_by created finished deleted_after error sections",
    "ExportFile": "customer export made sections",
    "ExportSectionCount": "service section rows",
    "EventAnswer": "event_id source type customer time status decided notes decisions",
    "EventFields": "source id type",
    "EventItem": "event_id source status status_url errors notes decisions",
    "EventItems": "items",
    "EventName": "source id",
    "ExplainedEvent": "source event type customer decisions not_triggered",
    "ExplanationFields": (
        "customer campaign at assumed_event version policy_version preference_version channel outcome "
        "reason rule_id until allowed_from lost_to failure short sentence earliest change verdicts jumps "
        "unknown channels waits in_trial"
    ),
    "FailureFields": ALL,
    "FindingFields": "pointer code detail line column suggestion severity variable found expected",
    "HoldFields": (
        "key scope mode from until reason placed_by placed_at state lifted_at lifted_by lift_reason release_rate"
    ),
    "HoldHistory": "earlier",
    "InboxPageFields": "items next unread",
    "ImportFields": (
        "id state format dry_run bytes rows read added exists refused requested_by created started finished problem "
        "waiting"
    ),
    "ImportRowFields": "row result id code pointer detail",
    "ImportResult": "enforced in_flight added exists invalid items",
    "ImportedRow": "row status id errors notes",
    "JobFields": "id state requested_by reason rate created started finished total done left_out results waiting",
    "JobItem": "id result effect detail",
    "JobWithItems": "items",
    "AuditHeadFields": ALL,
    "AuditRecordFields": ALL,
    "KeyFields": (
        "id name role person program prefix created created_by revoked last_used expires sources topics owners"
    ),
    "LetterError": "class message attempts",
    "LetterEvent": "source id type",
    "LetterFields": (
        "id service state at code problems error event customer record redrives redriven_at closed_at "
        "closed_by close_reason effect job"
    ),
    "LetterRecord": "topic partition offset timestamp",
    "LiveDecision": "outcome reason decision_id",
    "Liveness": "status loops",
    "MessageFields": (
        "class message_id customer campaign version policy_version channel intent topic priority event "
        "status since until expires_at hidden locale adapter provider_id detail attempt_count created "
        "updated"
    ),
    "MessageWithAttempts": "attempts decisions delivery receipts waits",
    "ProviderWaitFields": ALL,
    "ReceiptCounts": ALL,
    "ReceiptFields": "kind permanent by_machine detail adapter at received",
    "ReplyFields": ("id customer channel adapter message_id hidden at received state decided_by decided_at"),
    "RouteFields": ALL,
    "NewKey": "id name role person program expires sources topics owners",
    "NotTriggered": "campaign words",
    "NoteFields": "pointer code detail nearest",
    "PlacedHold": "enforced in_flight notes",
    "PlaceElsewhere": "place what",
    "PlanCount": "campaign channel outcome reason messages",
    "PlanCounts": "send defer suppress fail items",
    "PlanFields": "key mode state at waiting judged complete rate release_seconds expired now after_caps sample",
    "PlanSample": "message_id campaign channel outcome reason turn until",
    "PolicyVersion": (
        "zone week_start unknown_zones topics traits situations contact_history frequency_caps "
        "min_gaps quiet_hours holdout shadow fail_open version status editor submitted_by approved_by approved_at "
        "note created"
    ),
    "PolicyVersionWithFindings": "findings",
    "Preview": "campaign customer locale findings items",
    "PreviewItem": "channel locale error",
    "ProblemFields": "pointer code detail line column suggestion severity",
    "Readiness": "status failing checks",
    "Rehearsal": "total shown items",
    "Rehearsed": "id state",
    "RemovalFields": (
        "id entry_id entry_reason customer address_masked state reason consent_of requested_by requested_at decided_by "
        "decided_at decision_reason notice"
    ),
    "Replay": "same facts_at decision sentence unknown",
    "PersonFields": "id name subject role granted_by topics owners created last_sign_in disabled",
    "PublicKeyFields": ALL,
    "SandboxMessage": "message_id customer campaign channel at",
    "ScopeNote": "pointer code detail",
    "ServiceLetterCounts": "service answers open oldest detail",
    "ServiceErasure": "state recorded finished rows stores",
    "ShadowCount": "campaign outcome reason live count",
    "ShadowReport": (
        "from key version status until decisions compared agreed agreement skipped_events table items next"
    ),
    "ShadowSampleFields": "time agrees customer campaign channel message_id live shadow",
    "SignatureFields": ALL,
    "SignedConsents": "signature",
    "SimulationFields": "id state progress requested_by created started finished error notes",
    "SimulationResult": "request result",
    "Startup": "status",
    "Timeline": "items next left_out",
    "TimelineDecision": "at kind decision_id message_id campaign channel outcome reason sentence change",
    "TimelineEvent": "at kind source id type",
    "TimelineMessage": "at kind message_id campaign channel status adapter",
    "ViolationFields": "invariant about message_id customer rule rule_id policy_version marked_at found",
    "WordingFields": ALL,
    "WholeLetter": "content_hidden dry_run dry_run_problem",
    "UnreadFields": ALL,
}


def find_classes(model: str, field: str) -> list[str]:
    """The names of the tables that have this field of this model; right is exactly one."""
    if model.startswith(DOCUMENTS):
        return ["documents"]
    tables = {"personal": PERSONAL, "content": CONTENT, "secret": SECRET, "operational": OPERATIONAL}
    found = []
    current: str | None = model
    while current is not None:
        found += [name for name, table in tables.items() if {ALL, field} & set(table.get(current, "").split())]
        current = EXTENDS.get(current)
    return found

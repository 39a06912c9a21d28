"""What an edit by a person must keep to, beyond the document's form. Pure.

Only what the edit adds is checked: an entry that was there before may name a topic that has gone since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.documents import did_you_mean
from schemas.facts import OptOut, Preference
from schemas.service_api import PolicyTopics
from schemas.vocabulary import Class
from services.kit.errors import Problem
from services.preference.document_form import FIELDS, preference_document
from services.preference.preference_errors import (
    IncompleteDocument,
    MissingConsentProof,
    OptOutNotAllowed,
    UnknownTopic,
)
from services.preference.preference_state import PreferenceState, empty_state


def check_complete(state: PreferenceState, fields: Mapping[str, Any]) -> None:
    """Raise Partial when a field that is set today is missing from a document that claims to be whole."""
    current, default = (
        preference_document(state.preference),
        preference_document(empty_state(state.customer).preference),
    )
    missing = [name for name in FIELDS if name not in fields and current[name] != default[name]]
    if missing:
        advice = "is set today: send it, or use PATCH"
        raise IncompleteDocument(
            f"a PUT replaces the whole document, and this one lacks {', '.join(missing)}: send all, or use PATCH",
            errors=[Problem(f"/{name}", "missing", f"`{name}` {advice}") for name in missing],
        )


def check_additions(before: Preference, after: Preference, topics: PolicyTopics | None) -> None:
    """Check what is new in opt-outs and consent. Raises UnknownTopic, CannotSwitchOff, NoProof."""
    for index, entry in enumerate(after.opt_outs):
        if entry not in before.opt_outs:
            check_opt_out(entry, f"/opt_outs/{index}", topics)
    for index, record in enumerate(after.consent):
        if record in before.consent:
            continue
        if record.topic != "*":
            _check_topic(record.topic, f"/consent/{index}/topic", topics)
        missing_fields = [name for name in ("source", "wording") if getattr(record, name) is None]
        if record.status == "granted" and missing_fields:
            raise MissingConsentProof(
                "consent needs proof: where it was given (`source`) and on which words (`wording`)",
                errors=[
                    Problem(f"/consent/{index}/{name}", "missing", f"`{name}` is required") for name in missing_fields
                ],
            )


def check_opt_out(entry: OptOut, pointer: str, topics: PolicyTopics | None) -> None:
    """Raise UnknownTopic or CannotSwitchOff for an opt-out that would not do what it seems to do."""
    if entry.cls == Class.TRANSACTIONAL:
        detail = "transactional messages cannot be switched off; `service` and `marketing` can"
        raise OptOutNotAllowed(detail, errors=[Problem(f"{pointer}/class", "cannot_switch_off", detail)])
    if entry.topic is None:
        return
    _check_topic(entry.topic, f"{pointer}/topic", topics)
    if topics is not None and any(topic.required and topic.key == entry.topic for topic in topics.topics):
        detail = f"the topic `{entry.topic}` is required: it can only be left by switching off a whole channel"
        raise OptOutNotAllowed(detail, errors=[Problem(f"{pointer}/topic", "cannot_switch_off", detail)])


def _check_topic(topic: str, pointer: str, topics: PolicyTopics | None) -> None:
    if topics is None or any(known.key == topic for known in topics.topics):
        return
    detail = f"unknown topic `{topic}`{did_you_mean(topic, [known.key for known in topics.topics])}"
    raise UnknownTopic(detail, errors=[Problem(pointer, "unknown_topic", detail)])

"""What an edit by a person must keep to, beyond the document's form. Pure.

Only what the edit adds is checked: an entry that was there before may name a topic that has gone since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.documents import suggestion
from schemas.facts import OptOut, Preference
from schemas.vocabulary import Class
from services.kit.errors import Problem
from services.preference.document_form import FIELDS, document_of
from services.preference.preference_errors import CannotSwitchOff, NoProof, Partial, UnknownTopic
from services.preference.preference_state import State, empty
from services.preference.store import Topics


def check_whole(state: State, fields: Mapping[str, Any]) -> None:
    """Raise Partial when a field that is set today is missing from a document that claims to be whole."""
    today, blank = document_of(state.preference), document_of(empty(state.customer).preference)
    missing = [name for name in FIELDS if name not in fields and today[name] != blank[name]]
    if missing:
        advice = "is set today: send it, or use PATCH"
        raise Partial(
            f"a PUT replaces the whole document, and this one lacks {', '.join(missing)}: send all, or use PATCH",
            errors=[Problem(f"/{name}", "missing", f"`{name}` {advice}") for name in missing],
        )


def check_fields(before: Preference, after: Preference, topics: Topics | None) -> None:
    """Check what is new in opt-outs and consent. Raises UnknownTopic, CannotSwitchOff, NoProof."""
    for place, entry in enumerate(after.opt_outs):
        if entry not in before.opt_outs:
            check_opt_out(entry, f"/opt_outs/{place}", topics)
    for place, record in enumerate(after.consent):
        if record in before.consent:
            continue
        if record.topic != "*":
            _known(record.topic, f"/consent/{place}/topic", topics)
        lacking = [name for name in ("source", "wording") if getattr(record, name) is None]
        if record.status == "granted" and lacking:
            raise NoProof(
                "consent needs proof: where it was given (`source`) and on which words (`wording`)",
                errors=[Problem(f"/consent/{place}/{name}", "missing", f"`{name}` is required") for name in lacking],
            )


def check_opt_out(entry: OptOut, pointer: str, topics: Topics | None) -> None:
    """Raise UnknownTopic or CannotSwitchOff for an opt-out that would not do what it seems to do."""
    if entry.cls == Class.TRANSACTIONAL:
        detail = "transactional messages cannot be switched off; `service` and `marketing` can"
        raise CannotSwitchOff(detail, errors=[Problem(f"{pointer}/class", "cannot_switch_off", detail)])
    if entry.topic is None:
        return
    _known(entry.topic, f"{pointer}/topic", topics)
    if topics is not None and any(topic.required and topic.key == entry.topic for topic in topics.topics):
        detail = f"the topic `{entry.topic}` is required: it can only be left by switching off a whole channel"
        raise CannotSwitchOff(detail, errors=[Problem(f"{pointer}/topic", "cannot_switch_off", detail)])


def _known(topic: str, pointer: str, topics: Topics | None) -> None:
    if topics is None or any(known.key == topic for known in topics.topics):
        return
    detail = f"unknown topic `{topic}`{suggestion(topic, [known.key for known in topics.topics])}"
    raise UnknownTopic(detail, errors=[Problem(pointer, "unknown_topic", detail)])

"""What the model takes of an event whose data cannot be read whole, and whether the rest may have been a refusal.

It knows the faults that the random worlds and the conformance cases have.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from tests.model.instants import instant

Document = dict[str, Any]
REFUSING = ("consent", "opt_outs", "paused_until")
CHANGED = (*REFUSING, "locale", "country", "zone", "traits", "addresses", "channel_order", "frequency", "quiet_hours")
IDENTIFIED = ("locale", "country", "zone", "traits", "addresses")
MEANT_REFUSALS = ("optouts", "doNotContact", "unsubscribed")
CHANNELS = ("email", "sms", "push", "in_app", "webhook")
OPT_OUTS = (("all",), ("class",), ("topic",), ("channel",), ("channel", "topic"))


def readable(event: Document, policy: Document) -> tuple[Document, bool, frozenset[str]]:
    """The data without what cannot be read, whether that may have been a refusal, and the lists that were cut."""
    data = dict(event.get("data") or {})
    if event["type"] in ("tactful.preference.changed", "tactful.customer.identified"):
        return readable_choices(event["type"], data)
    if event["type"] == "tactful.situation.opened":
        kinds = [each["kind"] for each in policy.get("situations", [])]
        kind = data.get("kind")
        if not isinstance(kind, str) or " " in kind:
            return {}, True, frozenset()
        if kinds and kind not in kinds:
            similar = any(len(set(each) ^ set(kind)) <= 2 for each in kinds)
            return {}, similar, frozenset()
    return data, False, frozenset()


def readable_choices(kind: str, data: Document) -> tuple[Document, bool, frozenset[str]]:
    """As `readable`, of what a customer has chosen or is."""
    changed = kind == "tactful.preference.changed"
    may_refuse = any(name in MEANT_REFUSALS for name in data)
    may_refuse |= not changed and any(name in REFUSING for name in data)
    kept: Document = {}
    cut: set[str] = set()
    for name, value in data.items():
        if name not in (CHANGED if changed else IDENTIFIED):
            continue
        if name in ("consent", "opt_outs"):
            legible = [each for each in value if is_opt_out(each) or is_consent(each)]
            may_refuse |= len(legible) < len(value)
            kept[name] = [each for each in legible if not (changed and lacks_proof(each))]
            if len(kept[name]) < len(value):
                cut.add(name)
        elif is_value(name, value):
            kept[name] = value
        else:
            may_refuse |= name in REFUSING
    return kept, may_refuse, frozenset(cut)


def is_opt_out(entry: Document) -> bool:
    return tuple(sorted(entry)) in OPT_OUTS and entry.get("channel", "sms") in CHANNELS


def is_consent(entry: Document) -> bool:
    return entry.get("status") in ("granted", "withdrawn") and entry["channel"] in CHANNELS


def lacks_proof(entry: Document) -> bool:
    """Whether it is a grant of consent that nobody can show: it does not count, and is no refusal."""
    return entry.get("status") == "granted" and not (entry.get("source") and entry.get("wording"))


def is_value(name: str, value: Any) -> bool:
    """Whether a field that is taken whole or not at all can be read."""
    if name == "zone":
        return value is None or value in available_timezones()
    if name == "quiet_hours":
        return isinstance(value, list)
    if name == "paused_until" and value is not None:
        try:
            instant(value)
        except ValueError:
            return False
    return True

"""Translates Alertmanager alerts into holds, and decides when an alert places or lifts one. Pure.

Every alert that reaches us asks for a hold. Labels that are missing or not understood widen its scope to everything: a
hold too wide is noticed and lifted, a hold too narrow lets messages out that should have stopped.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from schemas.alertmanager import Alert
from schemas.documents import DocumentError, did_you_mean, load_json, validate_document
from schemas.suppression import Hold, HoldScope
from schemas.times import Instant, format_instant, parse_duration
from services.kit.errors import Problem

LABEL_PREFIX: Final = "tactful_"
LIST_FIELDS: Final = ("channels", "classes", "topics", "intents", "campaigns")
KNOWN_LABELS: Final = frozenset({*(LABEL_PREFIX + name for name in (*LIST_FIELDS, "region", "scope", "mode", "for"))})
MAX_REASON_LENGTH: Final = 200
HOLD_MODES: Final = ("drop", "defer")

AlertAction = Literal["place", "lift", "ignore"]


class AlertHistory(NamedTuple):
    """What is known of an alert: when its latest known firing started, and when a firing last ended."""

    started: Instant | None = None
    ended: Instant | None = None


class AlertHold(NamedTuple):
    """The hold that an alert asks for, and the problems in its labels and annotations."""

    hold: Hold
    problems: tuple[Problem, ...]


def hold_key(alert: Alert) -> str:
    """The key of the alert's hold."""
    return f"alert-{alert.fingerprint}"


def choose_action(alert: Alert, history: AlertHistory) -> AlertAction:
    """The action for a notification. Alertmanager repeats notifications, and they may arrive in any order."""
    if alert.status == "resolved":
        return "ignore" if history.started is not None and history.started > _end_of(alert) else "lift"
    already_known = history.started is not None and alert.starts <= history.started
    already_ended = history.ended is not None and alert.starts <= history.ended
    return "ignore" if already_known or already_ended else "place"


def update_history(alert: Alert, history: AlertHistory, now: Instant) -> AlertHistory:
    """The history after a notification. An end that is ahead of our clock counts as now."""
    if alert.status == "firing":
        return history._replace(started=max(alert.starts, history.started or alert.starts))
    ended = max(alert.starts, min(_end_of(alert), now))
    return history._replace(ended=max(ended, history.ended or ended))


def build_hold(alert: Alert, placed_by: str, now: Instant) -> AlertHold:
    """The hold that the alert asks for, from `now` on."""
    settings = {
        name: text for name, text in {**alert.labels, **alert.annotations}.items() if name.startswith(LABEL_PREFIX)
    }
    problems: list[Problem] = []
    scope = _parse_scope(settings, problems)
    mode = settings.get(f"{LABEL_PREFIX}mode", "defer")
    if mode not in HOLD_MODES:
        problems.append(_label_problem("mode", "not_in_list", f"`{mode[:60]}` is none of: {', '.join(HOLD_MODES)}"))
    until = _parse_until(alert, settings.get(f"{LABEL_PREFIX}for"), problems)
    document = {
        "key": hold_key(alert),
        "scope": scope,
        "mode": mode if mode in HOLD_MODES else "defer",
        "from": format_instant(now),
        "reason": _hold_reason(alert, problems),
        "placed_by": placed_by[:200],
    }
    if until is not None and until > now:
        document["until"] = format_instant(until)
    return AlertHold(validate_document(Hold, document), tuple(problems))


def has_lapsed(alert: Alert, now: Instant) -> bool:
    """Whether the alert has fired longer than its hold may last (`tactful_for`)."""
    text = {**alert.labels, **alert.annotations}.get(f"{LABEL_PREFIX}for")
    until = _parse_until(alert, text, [])
    return until is not None and until <= now


def alert_title(alert: Alert) -> str:
    """A one-line title: the alert's name with its summary or description."""
    words = [alert.labels.get("alertname", "alert")]
    words += [alert.annotations[name] for name in ("summary", "description") if alert.annotations.get(name)][:1]
    return " ".join(": ".join(words).split())


def _end_of(alert: Alert) -> Instant:
    return max(alert.ends, alert.starts)


def _parse_scope(settings: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """The scope that the labels name; everything, when any part of it is not understood."""
    problem_count = len(problems)
    unknown = sorted(settings.keys() - KNOWN_LABELS)
    problems += [
        _label_problem(name, "unknown_field", f"unknown{did_you_mean(name, KNOWN_LABELS)}") for name in unknown
    ]
    list_values = {
        name: _split_list(settings[LABEL_PREFIX + name]) for name in LIST_FIELDS if LABEL_PREFIX + name in settings
    }
    scope: dict[str, Any] = {**list_values}
    if f"{LABEL_PREFIX}region" in settings:
        scope["region"] = settings[f"{LABEL_PREFIX}region"].strip()
    if f"{LABEL_PREFIX}scope" in settings:
        if scope:
            problems.append(
                _label_problem("scope", "given_twice", "give the scope as one JSON object or in single words")
            )
        scope = _parse_scope_object(settings[f"{LABEL_PREFIX}scope"], problems)
    try:
        validate_document(HoldScope, scope)
    except DocumentError as error:
        problems += [_label_problem("scope", code, f"{pointer}: {detail}") for pointer, code, detail in error.errors]
    return {} if len(problems) > problem_count else scope


def _split_list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _parse_scope_object(text: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        value = load_json(text.encode("utf-8", "replace"))
    except DocumentError as error:
        problems += [_label_problem("scope", code, detail) for _, code, detail in error.errors]
        return {}
    if isinstance(value, dict):
        return value
    problems.append(_label_problem("scope", "wrong_type", 'not a JSON object, such as {"channels": ["sms"]}'))
    return {}


def _parse_until(alert: Alert, text: str | None, problems: list[Problem]) -> Instant | None:
    if text is None:
        return None
    try:
        return alert.starts + parse_duration(text.strip())
    except ValueError as error:
        problems.append(_label_problem("for", "bad_duration", str(error)))
        return None


def _hold_reason(alert: Alert, problems: list[Problem]) -> str:
    misread = sorted({problem.pointer.removeprefix("/") for problem in problems})
    note = f" (not understood: {', '.join(misread)[:100]})" if misread else ""
    return alert_title(alert)[: MAX_REASON_LENGTH - len(note)] + note


def _label_problem(name: str, code: str, detail: str) -> Problem:
    name = name if name.startswith(LABEL_PREFIX) else LABEL_PREFIX + name
    return Problem(f"/{name[:60]}", code, detail)

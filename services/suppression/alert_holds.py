"""From an alert to a hold, and when an alert places or lifts one. Pure.

An alert that reaches us asks for a hold. What its labels and annotations do not say is read as widely as it can be;
so is what they say in a way that is not understood: a hold too much is seen and lifted, one too few is a breach.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from schemas.alertmanager import Alert
from schemas.documents import DocumentError, load_json, suggestion, validate
from schemas.suppression import Hold, HoldScope
from schemas.times import Instant, format_instant, parse_duration
from services.kit.errors import Problem

PREFIX: Final = "tactful_"
LISTS: Final = ("channels", "classes", "topics", "intents", "campaigns")
WORDS: Final = frozenset({*(PREFIX + name for name in (*LISTS, "region", "scope", "mode", "for"))})
LONGEST_REASON: Final = 200
MODES: Final = ("drop", "defer")

Step = Literal["place", "lift", "ignore"]


class Told(NamedTuple):
    """What was told about an alert before: when the firing began that was heard of last, and when one ended last."""

    started: Instant | None = None
    ended: Instant | None = None


class Wanted(NamedTuple):
    """The hold that an alert asks for, and what in its labels and annotations was not understood."""

    hold: Hold
    problems: tuple[Problem, ...]


def key_of(alert: Alert) -> str:
    """The key of its hold."""
    return f"alert-{alert.fingerprint}"


def step(alert: Alert, told: Told) -> Step:
    """What to do about an alert that may be told again and again, and in any order."""
    if alert.status == "resolved":
        return "ignore" if told.started is not None and told.started > _ends(alert) else "lift"
    heard = told.started is not None and alert.starts <= told.started
    over = told.ended is not None and alert.starts <= told.ended
    return "ignore" if heard or over else "place"


def learned(alert: Alert, told: Told, now: Instant) -> Told:
    """What is known of it from now on. The end of a firing is not taken to lie ahead."""
    if alert.status == "firing":
        return told._replace(started=max(alert.starts, told.started or alert.starts))
    ended = max(alert.starts, min(_ends(alert), now))
    return told._replace(ended=max(ended, told.ended or ended))


def hold_of(alert: Alert, placed_by: str, now: Instant) -> Wanted:
    """The hold that the alert asks for, from `now` on."""
    given = {name: text for name, text in {**alert.labels, **alert.annotations}.items() if name.startswith(PREFIX)}
    problems: list[Problem] = []
    scope = _scope(given, problems)
    mode = given.get(f"{PREFIX}mode", "defer")
    if mode not in MODES:
        problems.append(_problem("mode", "not_in_list", f"`{mode[:60]}` is none of: {', '.join(MODES)}"))
    until = _until(alert, given.get(f"{PREFIX}for"), problems)
    document = {
        "key": key_of(alert),
        "scope": scope,
        "mode": mode if mode in MODES else "defer",
        "from": format_instant(now),
        "reason": _reason(alert, problems),
        "placed_by": placed_by[:200],
    }
    if until is not None and until > now:
        document["until"] = format_instant(until)
    return Wanted(validate(Hold, document), tuple(problems))


def has_lapsed(alert: Alert, now: Instant) -> bool:
    """Whether it has fired for as long as it may hold anything back (`tactful_for`)."""
    text = {**alert.labels, **alert.annotations}.get(f"{PREFIX}for")
    until = _until(alert, text, [])
    return until is not None and until <= now


def title(alert: Alert) -> str:
    """What the alert is about, in one line."""
    words = [alert.labels.get("alertname", "alert")]
    words += [alert.annotations[name] for name in ("summary", "description") if alert.annotations.get(name)][:1]
    return " ".join(": ".join(words).split())


def _ends(alert: Alert) -> Instant:
    return max(alert.ends, alert.starts)


def _scope(given: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """The scope that is asked for; everything, when any part of it is not understood."""
    before = len(problems)
    unknown = sorted(given.keys() - WORDS)
    problems += [_problem(name, "unknown_field", f"unknown{suggestion(name, WORDS)}") for name in unknown]
    single = {name: _words(given[PREFIX + name]) for name in LISTS if PREFIX + name in given}
    scope: dict[str, Any] = {**single}
    if f"{PREFIX}region" in given:
        scope["region"] = given[f"{PREFIX}region"].strip()
    if f"{PREFIX}scope" in given:
        if scope:
            problems.append(_problem("scope", "given_twice", "give the scope as one JSON object or in single words"))
        scope = _object(given[f"{PREFIX}scope"], problems)
    try:
        validate(HoldScope, scope)
    except DocumentError as error:
        problems += [_problem("scope", code, f"{pointer}: {detail}") for pointer, code, detail in error.errors]
    return {} if len(problems) > before else scope


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _object(text: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        value = load_json(text.encode("utf-8", "replace"))
    except DocumentError as error:
        problems += [_problem("scope", code, detail) for _, code, detail in error.errors]
        return {}
    if isinstance(value, dict):
        return value
    problems.append(_problem("scope", "wrong_type", 'not a JSON object, such as {"channels": ["sms"]}'))
    return {}


def _until(alert: Alert, text: str | None, problems: list[Problem]) -> Instant | None:
    if text is None:
        return None
    try:
        return alert.starts + parse_duration(text.strip())
    except ValueError as error:
        problems.append(_problem("for", "bad_duration", str(error)))
        return None


def _reason(alert: Alert, problems: list[Problem]) -> str:
    wrong = sorted({problem.pointer.removeprefix("/") for problem in problems})
    note = f" (not understood: {', '.join(wrong)[:100]})" if wrong else ""
    return title(alert)[: LONGEST_REASON - len(note)] + note


def _problem(name: str, code: str, detail: str) -> Problem:
    name = name if name.startswith(PREFIX) else PREFIX + name
    return Problem(f"/{name[:60]}", code, detail)

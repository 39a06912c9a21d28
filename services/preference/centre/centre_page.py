"""What the preference centre shows of a customer, as the values of its template. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup, escape

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import OptOut, Preference
from schemas.times import DAY, Instant
from schemas.vocabulary import Class
from services.preference.centre.change_sentences import (
    closed_channels,
    own_limit,
    quiet_words,
    service_is_off,
    zone_of,
)
from services.preference.centre.choices import Cell, own_channels, read_cells, topic_channels
from services.preference.centre.consent_wording import TICKED_BOX
from services.preference.centre.form import MAX_ORDER, CentreForm, write_cells
from services.preference.centre.languages import PageLanguage
from services.preference.centre.masking import mask_own_address
from services.preference.centre.page_html import CentrePages, FrameLinks
from services.preference.centre.topic_texts import ShownTopic
from services.preference.centre.wishes import KEEP, FormFault, frequency_choice, quiet_choice, write_wall_time

PAUSE_DAYS: Final = 30
COUNTED_DAYS: Final = 90
"""The page says how many messages of a topic have come in so many days."""
MOST_BESIDE: Final = 4
"""So many channels stand beside a topic; more of them stand below it."""


@dataclass(frozen=True, slots=True)
class SaveResult:
    """What a form has done: what has changed, whether it holds, and the version that can be undone."""

    heading: str
    sentences: Sequence[str] = ()
    lines: Sequence[str] = ()
    undo: int | None = None


@dataclass(frozen=True, slots=True)
class CentreView:
    """What the page is made of. `form` and `faults`: a form that was not saved, and why. `addresses`: the values of
    that part (centre/address_part.py).
    """

    preference: Preference
    topics: Sequence[ShownTopic]
    language: PageLanguage
    now: Instant
    counts: Mapping[str, int] = field(default_factory=dict)
    result: SaveResult | None = None
    form: CentreForm | None = None
    faults: Sequence[FormFault] = ()
    addresses: Mapping[str, Any] = field(default_factory=dict)


def render_centre(pages: CentrePages, view: CentreView, links: FrameLinks) -> str:
    """The page."""
    language, preference = view.language, view.preference
    cells = read_cells(preference, [shown.topic for shown in view.topics], view.now)
    faults = {fault.field: fault_text(fault, language) for fault in view.faults}
    title = language.text("What may we write to you about?")
    if faults:
        title = f"{language.text('Nothing has been saved yet.')} {title}"
    elif view.result is not None:
        title = f"{view.result.heading} {title}"
    return pages.render(
        "centre.html",
        language,
        links,
        title,
        version=preference.version if view.form is None else view.form.version,
        faults=faults,
        result=view.result,
        leads=_leads(pages, preference, language),
        ticked_box=language.text(TICKED_BOX),
        shown_cells=write_cells(cells),
        texts=hash_texts(view.topics, language),
        groups=_groups(view, cells),
        has_cells=bool(cells),
        frequency=_frequency(view),
        quiet=_quiet(view),
        zone=_zone(view),
        language_field=_language(view, pages.brand.languages),
        order=_order(view),
        stops=_stops(view),
        addresses=view.addresses,
        always=_always(view),
        closed=_closed(preference, language),
    )


def hash_texts(topics: Iterable[ShownTopic], language: PageLanguage) -> str:
    """Identifies the words that somebody consents to by this form, so that a form with other words is noticed."""
    words = [language.text(TICKED_BOX), *(f"{each.topic.key}\n{each.name}\n{each.description}" for each in topics)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def fault_text(fault: FormFault, language: PageLanguage) -> str:
    """What is wrong with a field, and what to do."""
    match fault.code:
        case "half":
            return language.text("Quiet hours need a beginning and an end: choose both, or neither.")
        case "same":
            return language.text("Quiet hours need a beginning and an end that differ.")
        case "twice":
            return language.text("The same way stands at two places: choose it once.")
        case "texts":
            return language.text("The texts of this page have changed meanwhile. Please look again, and save again.")
        case "many":
            return language.text("These are more choices than we can keep. Please ask us.")
    return language.text("We do not know this choice. Please choose another one.")


def _submitted(view: CentreView, name: str, shown: str) -> str:
    return shown if view.form is None else view.form.values.get(name, shown)


def _leads(pages: CentrePages, preference: Preference, language: PageLanguage) -> list[str | Markup]:
    own_words = pages.brand.leads.get(language.code)
    masked = [
        mask for address in preference.addresses if address.former is None and (mask := mask_own_address(address))
    ]
    lines: list[str | Markup] = [own_words or language.text("Changes hold at once. You need no password.")]
    if masked:
        names = [f'<b dir="ltr">{escape(mask)}</b>' for mask in masked[:5]]
        sentence = escape(language.text("You are changing this for %(addresses)s.", addresses="\0"))
        lines.insert(0, Markup(str(sentence).replace("\0", language.join(names))))  # noqa: S704 - every part is escaped
    return lines


def _groups(view: CentreView, cells: Mapping[Cell, bool]) -> list[dict[str, Any]]:
    own = own_channels(view.preference)
    choosable = [shown for shown in view.topics if not shown.topic.required]
    used = {channel for shown in choosable for channel in topic_channels(shown.topic, own)}
    columns = [channel for channel in CHANNEL_REGISTRY.declarations if channel in used]
    groups: dict[str | None, list[dict[str, Any]]] = {}
    for shown in choosable:
        groups.setdefault(shown.group, []).append(_topic(view, shown, cells, columns))
    is_wide = len(columns) > MOST_BESIDE
    return [{"name": name, "topics": topics, "is_wide": is_wide} for name, topics in groups.items()]


def _topic(view: CentreView, shown: ShownTopic, cells: Mapping[Cell, bool], columns: Sequence[str]) -> dict[str, Any]:
    submitted = {} if view.form is None else view.form.cells
    row: list[dict[str, Any] | None] = []
    for channel in columns:
        cell = Cell(shown.topic.key, channel)
        label = view.language.channel(channel)
        on = submitted.get(cell, cells.get(cell, False))
        row.append({"value": ".".join(cell), "label": label, "on": on} if cell in cells else None)
    count, text = view.counts.get(shown.topic.key, 0), None
    if count:
        text = view.language.plural(
            "You got one in the last %(days)d days.",
            "You got %(num)d in the last %(days)d days.",
            count,
            days=COUNTED_DAYS,
        )
    return {"name": shown.name, "description": shown.description, "count": text, "cells": row}


def _frequency(view: CentreView) -> dict[str, Any]:
    language, was = view.language, frequency_choice(view.preference.frequency)
    every = language.text("What you have ticked above, whenever there is something.")
    week = language.text("Of advertising, one message a week in all. More than that waits, or does not come.")
    month = language.text("Of advertising, one message a month in all. More than that waits, or does not come.")
    choices = [
        ("all", language.text("As it comes"), every),
        ("week", language.text("At most one a week"), week),
        ("month", language.text("At most one a month"), month),
    ]
    if was == KEEP:
        choices.append((KEEP, language.text("As you have chosen"), own_limit(view.preference, language)))
    return {
        "was": was,
        "value": _submitted(view, "frequency", was),
        "choices": [{"value": value, "title": title, "text": text} for value, title, text in choices],
    }


def _quiet(view: CentreView) -> dict[str, Any]:
    language, (start, end) = view.language, quiet_choice(view.preference)
    hours = {write_wall_time(hour * 60): language.wall_time(hour * 60) for hour in range(24)}
    for own in view.preference.quiet_hours:
        hours |= {write_wall_time(each): language.wall_time(each) for each in (own.start, own.end)}
    choices: list[tuple[str, str]] = [("", language.text("no quiet hours")), *sorted(hours.items())]
    if start == KEEP:
        choices.append((KEEP, quiet_words(view.preference, language)))
    return {
        "choices": choices,
        "start": _submitted(view, "quiet_from", start),
        "end": _submitted(view, "quiet_to", end),
        "was_start": start,
        "was_end": end,
    }


def _zone(view: CentreView) -> dict[str, Any]:
    was, language = view.preference.zone or "", view.language
    choices: list[tuple[str, str]] = [("", language.text("not known"))]
    choices += [(each.zone, each.label) for each in language.zones]
    if was and was not in {value for value, _ in choices}:
        choices.append((was, language.zone_label(was)))
    return {"choices": choices, "value": _submitted(view, "zone", was), "was": was}


def _language(view: CentreView, offered: Sequence[str]) -> dict[str, Any]:
    was, language = view.preference.locale or "", view.language
    tags = [was, *offered] if was and was not in offered else list(offered)
    choices: list[tuple[str, str]] = [] if was else [("", language.text("not known"))]
    choices += [(tag, language.language_name(tag)) for tag in tags]
    return {"choices": choices, "value": _submitted(view, "language", was), "was": was}


def _order(view: CentreView) -> list[dict[str, Any]]:
    own = own_channels(view.preference)[:MAX_ORDER]
    if len(own) < 2:
        return []
    shown = [channel for channel in view.preference.channel_order if channel in own]
    shown += [""] * (len(own) - len(shown))
    submitted = shown if view.form is None or len(view.form.order) != len(shown) else view.form.order
    choices = [("", view.language.text("no choice")), *((each, view.language.channel(each)) for each in own)]
    return [
        {
            "name": f"order_{place}",
            "label": view.language.text("Place %(place)d", place=place),
            "choices": choices,
            "value": value,
            "was": was,
        }
        for place, (was, value) in enumerate(zip(shown, submitted, strict=True), 1)
    ]


def _stops(view: CentreView) -> list[dict[str, Any]]:
    return [_pause_row(view), *_service_row(view), _stop_row(view)]


def _pause_row(view: CentreView) -> dict[str, Any]:
    language, preference = view.language, view.preference
    zone = zone_of(preference)
    if preference.paused_until is not None and preference.paused_until > view.now:
        day = language.weekday_date(preference.paused_until, zone)
        text = language.text("Until %(day)s you get nothing but what you need. Then it goes on as before.", day=day)
        return {
            "title": language.text("You have paused our messages"),
            "text": text,
            "action": "resume",
            "button": language.text("End the pause"),
        }
    day = language.weekday_date(view.now + PAUSE_DAYS * DAY, zone)
    return {
        "title": language.plural("Pause for one day", "Pause for %(num)d days", PAUSE_DAYS),
        "text": language.text("Nothing but what you need until %(day)s. Then it goes on as it is now.", day=day),
        "action": "pause",
        "button": language.text("Pause"),
    }


def _service_row(view: CentreView) -> list[dict[str, Any]]:
    if not service_is_off(view.preference):
        return []
    language = view.language
    return [
        {
            "title": language.text("You get no service messages"),
            "text": language.text("These are about what you have with us: changes, delays, disturbances."),
            "action": "service",
            "button": language.text("Get them again"),
        }
    ]


def _stop_row(view: CentreView) -> dict[str, Any]:
    language = view.language
    whole = (OptOut(cls=Class.MARKETING.value), OptOut(all=True))
    if any(entry in view.preference.opt_outs for entry in whole):
        return {
            "title": language.text("You get no advertising"),
            "text": language.text("Tick a topic above, and you get that one again."),
            "action": None,
        }
    return {
        "title": language.text("Unsubscribe from all advertising"),
        "text": language.text("All of it, in every way, at once. You can come back on this page."),
        "action": "stop",
        "button": language.text("Unsubscribe"),
    }


def _always(view: CentreView) -> list[dict[str, str | None]]:
    required = [
        {"name": f"{shown.name}.", "description": shown.description, "reason": shown.reason}
        for shown in view.topics
        if shown.topic.required
    ]
    name = view.language.text("What belongs to an order, a contract or your account.")
    reason = view.language.text("You could not do without it: confirmations, invoices, security.")
    return [*required, {"name": name, "description": None, "reason": reason}]


def _closed(preference: Preference, language: PageLanguage) -> str | None:
    closed = [language.by(channel) for channel in closed_channels(preference)]
    if not closed:
        return None
    return language.text(
        "Topics that always come do not come by %(channels)s either: you have switched that off altogether.",
        channels=language.join(closed),
    )

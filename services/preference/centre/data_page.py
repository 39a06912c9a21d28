"""The page of what is held about a customer. It names things and dates, and shows no value that a thief of the link
could use: addresses are masked, and of what is known about the customer only the names are shown. Pure.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.facts import Consent, OptOut, Preference
from schemas.permission import ALL_TOPICS
from services.preference.centre.address_part import describe_state
from services.preference.centre.change_sentences import zone_of
from services.preference.centre.languages import PageLanguage
from services.preference.centre.masking import mask_own_address
from services.preference.centre.page_html import CentrePages, FrameLinks
from services.preference.centre.topic_texts import ShownTopic
from services.preference.store import PreferenceHistoryItem

MOST_CHANGES: Final = 20
"""So many changes are listed, the newest first."""
Row = dict[str, Any]


def render_data(
    pages: CentrePages,
    preference: Preference,
    topics: Sequence[ShownTopic],
    history: Sequence[PreferenceHistoryItem],
    language: PageLanguage,
    links: FrameLinks,
) -> str:
    """The page. `history`: the last changes, the newest first."""
    names = {shown.topic.key: shown.name for shown in topics}
    parts = [
        (language.text("Where we reach you"), _addresses(preference, language)),
        (language.text("What we know about you"), _traits(preference, language)),
        (language.text("What you have agreed to"), _consents(preference, names, language)),
        (language.text("What you have switched off"), _opt_outs(preference, names, language)),
        (language.text("What has changed lately"), _changes(preference, history, language)),
    ]
    nothing = language.text("Nothing.")
    shown_parts = [{"title": title, "rows": rows, "empty": nothing} for title, rows in parts]
    heading = language.text("What we hold about you")
    return pages.render("data.html", language, links, heading, heading=heading, parts=shown_parts)


def _row(title: str, *pairs: tuple[str, str | None]) -> Row:
    return {"title": title, "pairs": [(name, value) for name, value in pairs if value]}


def _addresses(preference: Preference, language: PageLanguage) -> list[Row]:
    rows = []
    for address in preference.addresses:
        state = describe_state(address, language)
        name = language.channel(address.channel)
        rows.append(_row(name, (language.text("Address"), mask_own_address(address)), (language.text("State"), state)))
    return rows


def _traits(preference: Preference, language: PageLanguage) -> list[Row]:
    known = {
        language.text("Language"): preference.locale,
        language.text("Country"): preference.country,
        language.text("Time zone"): preference.zone,
    }
    rows = [_row(name) for name, value in known.items() if value]
    return rows + [_row(name) for name in sorted(msgspec.json.decode(preference.traits))]


def _topic_name(key: str, names: dict[str, str], language: PageLanguage) -> str:
    return language.text("All topics") if key == ALL_TOPICS else names.get(key, key)


def _consents(preference: Preference, names: dict[str, str], language: PageLanguage) -> list[Row]:
    newest_first = sorted(preference.consent, key=lambda record: -record.at)
    return [_consent(record, preference, names, language) for record in newest_first]


def _consent(record: Consent, preference: Preference, names: dict[str, str], language: PageLanguage) -> Row:
    zone = zone_of(preference)
    state = language.text("agreed") if record.status == "granted" else language.text("refused or withdrawn")
    expires = None if record.expires is None else language.date(record.expires, zone)
    return _row(
        f"{_topic_name(record.topic, names, language)} · {language.channel(record.channel)}",
        (language.text("State"), state),
        (language.text("Since"), language.date(record.at, zone)),
        (language.text("Until"), expires),
        (language.text("Given at"), record.source),
        (language.text("Wording"), record.wording),
    )


def _opt_outs(preference: Preference, names: dict[str, str], language: PageLanguage) -> list[Row]:
    return [_row(_opt_out_words(entry, names, language)) for entry in preference.opt_outs]


def _opt_out_words(entry: OptOut, names: dict[str, str], language: PageLanguage) -> str:
    if entry.all:
        return language.text("Everything that can be switched off")
    classes = {"marketing": language.text("Advertising"), "service": language.text("Service messages")}
    named = [
        None if entry.cls is None else classes.get(entry.cls, entry.cls),
        None if entry.topic is None else names.get(entry.topic, entry.topic),
        None if entry.channel is None else language.channel(entry.channel),
    ]
    return " · ".join(name for name in named if name)


def _changes(preference: Preference, history: Sequence[PreferenceHistoryItem], language: PageLanguage) -> list[Row]:
    by_version: dict[int, list[PreferenceHistoryItem]] = {}
    for item in history:
        by_version.setdefault(item.version, []).append(item)
    zone, fields = zone_of(preference), field_names(language)
    rows = []
    for items in list(by_version.values())[:MOST_CHANGES]:
        changed = " · ".join(fields.get(item.field, item.field) for item in items)
        pairs = (language.text("Changed"), changed), (language.text("By"), _who(items[0], language))
        rows.append(_row(language.date(items[0].recorded, zone), *pairs))
    return rows


def _who(item: PreferenceHistoryItem, language: PageLanguage) -> str:
    match item.source:
        case "centre":
            return language.text("you, on these pages")
        case "unsubscribe":
            return language.text("you, by an unsubscribe link")
        case "confirmation":
            return language.text("you, by a link in our message")
        case "api":
            return language.text("us, by hand or for you")
    return language.text("our systems")


def field_names(language: PageLanguage) -> dict[str, str]:
    """The fields of the document, in words."""
    safety_stop = language.text("A safety stop")
    return {
        "locale": language.text("Language"),
        "country": language.text("Country"),
        "zone": language.text("Time zone"),
        "traits": language.text("What we know about you"),
        "addresses": language.text("Where we reach you"),
        "consent": language.text("What you have agreed to"),
        "opt_outs": language.text("What you have switched off"),
        "paused_until": language.text("A break"),
        "channel_order": language.text("Order"),
        "frequency": language.text("How often?"),
        "quiet_hours": language.text("Quiet hours"),
        "quarantines": safety_stop,
        "blocked_until": safety_stop,
    }

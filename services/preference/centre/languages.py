"""The languages of the public pages: texts from gettext catalogues, names and dates from the CLDR.

`locales/<language>.po` are read once, when the pages are built. English is what the code says. A text that a catalogue
lacks is shown in English; the tests allow none.
"""

import gettext
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from importlib import resources
from io import BytesIO
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_location
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from langcodes import Language as LanguageTag
from langcodes.tag_parser import LanguageTagError

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.times import Instant
from schemas.zones import zone_names_by_country

LANGUAGES: Final = ("en", "de", "fr", "es", "nl", "pt", "it", "pl", "ar")
"""What the pages are written in, in the order in which they are offered."""
SOURCE_LANGUAGE: Final = "en"
_DAYS: Final = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_FORMS: Final = {"en": "en_GB"}
"""Whose dates and times a language has, where that is not clear: English is read by people of most countries here."""
_MOST_ACCEPTED: Final = 20
"""So many languages of an Accept-Language are looked at."""


class ZoneChoice(NamedTuple):
    """A time zone and its name in a language, such as `Berlin, Germany`."""

    zone: str
    label: str


class PageLanguage:
    """One language of the pages."""

    def __init__(self, code: str, translations: gettext.NullTranslations) -> None:
        self.code = code
        self.locale = Locale.parse(_FORMS.get(code, code))
        self.direction = self.locale.text_direction
        self.translations = translations

    def text(self, message: str, **values: object) -> str:
        """A text with its values."""
        found = self.translations.gettext(message)
        return found % values if values else found

    def plural(self, one: str, many: str, number: int, **values: object) -> str:
        """A text in the form for a number, which its value `num` is."""
        return self.translations.ngettext(one, many, number) % {"num": number, **values}

    def join(self, items: Sequence[str]) -> str:
        """`a, b and c`."""
        return format_list(list(items), locale=self.locale)

    def channel(self, channel: str) -> str:
        """A channel's name on its own."""
        declared = CHANNEL_REGISTRY.declarations.get(channel)
        return channel if declared is None else self.translations.gettext(declared.label)

    def by(self, channel: str) -> str:
        """A channel's name after the word for `by`."""
        declared = CHANNEL_REGISTRY.declarations.get(channel)
        return channel if declared is None else self.translations.pgettext("by", declared.in_sentence)

    def language_name(self, tag: str) -> str:
        """The name of a language tag in this language; the tag where there is none."""
        try:
            return Locale.parse(tag.replace("-", "_")).get_display_name(self.locale) or tag
        except (ValueError, LookupError):
            return tag

    def date(self, instant: Instant, zone: ZoneInfo | None, form: str = "long") -> str:
        """A day, such as `13 November 2026`."""
        return format_date(_at(instant, zone), form, locale=self.locale)

    def weekday_date(self, instant: Instant, zone: ZoneInfo | None) -> str:
        """A day with its weekday, such as `Friday, 13 November 2026`."""
        return format_date(_at(instant, zone), "full", locale=self.locale)

    def time(self, instant: Instant, zone: ZoneInfo) -> str:
        """A time of day, such as `14:32`."""
        return format_time(_at(instant, zone), "short", locale=self.locale)

    def wall_time(self, minutes: int) -> str:
        """Minutes since midnight as a time of day."""
        return format_time(datetime(2000, 1, 1, minutes // 60, minutes % 60), "short", locale=self.locale)  # noqa: DTZ001

    def days(self, days: Iterable[str]) -> str:
        """Days of the week, joined."""
        names = self.locale.days["stand-alone"]["abbreviated"]
        return self.join([names[_DAYS[day]] for day in days])

    @cached_property
    def zones(self) -> tuple[ZoneChoice, ...]:
        """Every zone in which somebody lives, by its city and country, sorted by name."""
        found = [
            ZoneChoice(zone, f"{self._city(zone)}{_comma(self.code)}{self.locale.territories.get(country, country)}")
            for country, zones in zone_names_by_country().items()
            for zone in zones
        ]
        unique = {each.zone: each for each in found}.values()
        return tuple(sorted(unique, key=lambda each: each.label.casefold()))

    def _city(self, zone: str) -> str:
        return str(get_timezone_location(zone, locale=self.locale, return_city=True))

    def zone_label(self, zone: str) -> str:
        """The name of one zone; that of the database where it is no place."""
        return self._labels_by_zone.get(zone, zone.replace("_", " "))

    @cached_property
    def _labels_by_zone(self) -> Mapping[str, str]:
        return {each.zone: each.label for each in self.zones}


class PageLanguages:
    """The languages that a company offers, of those of the pages. `default`: one of them, the last resort."""

    def __init__(self, offered: Sequence[str], default: str) -> None:
        self.by_code: Mapping[str, PageLanguage] = {code: load_language(code) for code in offered}
        self._default = default

    def choose(self, asked: str | None, locale: str | None, accepted: str | None) -> PageLanguage:
        """What was asked for, else the language of the customer, else of the browser, else the default."""
        for tag in (asked, locale, *accepted_languages(accepted or "")):
            if tag and (code := base_language(tag)) in self.by_code:
                return self.by_code[code]
        return self.by_code[self._default]


@lru_cache(maxsize=len(LANGUAGES))
def load_language(code: str) -> PageLanguage:
    """A language with its catalogue."""
    if code == SOURCE_LANGUAGE:
        return PageLanguage(code, gettext.NullTranslations())
    file = resources.files(__package__).joinpath("locales", f"{code}.po")
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return PageLanguage(code, gettext.GNUTranslations(compiled))


def base_language(tag: str) -> str:
    """`de` of `de-AT`; empty for what is no tag."""
    try:
        return LanguageTag.get(tag[:64], normalize=False).language or ""
    except (LanguageTagError, ValueError):
        return ""


def accepted_languages(header: str) -> list[str]:
    """The tags of an Accept-Language, the best first; those with q=0 are refused."""
    weighed: list[tuple[float, str]] = []
    for part in header[:1000].split(",")[:_MOST_ACCEPTED]:
        tag, _, parameters = part.strip().partition(";")
        name, _, value = parameters.strip().partition("=")
        try:
            weight = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            weight = 0.0
        if tag and tag != "*" and weight > 0:
            weighed.append((weight, tag))
    return [tag for _, tag in sorted(weighed, key=lambda each: -each[0])]


def _at(instant: Instant, zone: ZoneInfo | None) -> datetime:
    return datetime.fromtimestamp(instant / 1_000_000, zone or UTC)


def _comma(code: str) -> str:
    return "، " if code == "ar" else ", "

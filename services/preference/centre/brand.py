"""What a company says of itself on the public pages: name, logo, colours, links and words, from settings.

Everything is checked when the service starts: colours on which text could not be read, and a logo that is no picture,
stop it.
"""

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError, model_validator

from schemas.documents import FieldError
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SettingsError
from services.preference.centre.address_part import CODE_CHANNELS
from services.preference.centre.languages import LANGUAGES, SOURCE_LANGUAGE

MIN_CONTRAST: Final = 4.5
"""Of text to its ground: WCAG 2.2, 1.4.3."""
MAX_LOGO_BYTES: Final = 100_000
LIGHT_GROUNDS: Final = ("#ffffff", "#faf9f5")
DARK_GROUNDS: Final = ("#191d1a", "#121512")
ON_LIGHT_ACCENT: Final = "#ffffff"
ON_DARK_ACCENT: Final = "#0d1410"
TINT: Final = 0.08
"""The share of the accent in the ground of the confirmation."""
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SVG: Final = "{http://www.w3.org/2000/svg}"
_ACTIVE: Final = ("script", "foreignObject", "iframe", "handler", "set", "animate")
_LEADS: Final = TypeAdapter(dict[str, Annotated[str, StringConstraints(min_length=1, max_length=500)]])


def _check_colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise ValueError("write a colour as #rrggbb")
    return text.lower()


def _check_link(text: str) -> str:
    parts = urlsplit(text)
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_web and not (parts.scheme == "mailto" and "@" in parts.path):
        raise ValueError("write a whole address, https:// or mailto:")
    return text


def _check_languages(text: str) -> str:
    for code in _split(text):
        if code not in LANGUAGES:
            raise ValueError(f"`{code[:20]}` is no language of the pages: they are {', '.join(LANGUAGES)}")
    return text


def _check_code_channels(text: str) -> str:
    for channel in _split(text):
        if channel not in CODE_CHANNELS:
            raise ValueError(f"`{channel[:20]}` takes no code: the channels are {', '.join(CODE_CHANNELS)}")
    return text


def _check_leads(text: str) -> str:
    try:
        leads = _parse_leads(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    for code in leads:
        if code not in LANGUAGES:
            raise ValueError(f"`{code[:20]}` is no language of the pages: they are {', '.join(LANGUAGES)}")
    return text


@lru_cache(maxsize=8)
def _parse_leads(text: str) -> Mapping[str, str]:
    return _LEADS.validate_json(text) if text else {}


Colour = Annotated[str, AfterValidator(_check_colour)]
Link = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_check_link)]
BrandLine = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class CentreSettings(Section):
    """The look and the words of the preference centre and the unsubscribe pages.

    `accent`, `accent_dark`: the colour of links and buttons, on light and on dark ground. `logo_file`,
    `logo_dark_file`: SVG or PNG. `support`, `privacy_url`, `erase_url`, `accessibility_url`: links, the first one may
    be `mailto:`. `languages`: comma separated, those that are offered; the first one is the last resort. `lead`: JSON
    from a language to the sentence below the title. `code_channels`: comma separated, those on which a campaign of the
    company sends the codes by which customers verify addresses that they add here.
    """

    name: BrandLine = ""
    legal_line: BrandLine = ""
    logo_file: Path | None = None
    logo_dark_file: Path | None = None
    accent: Colour = "#2b5b3f"
    accent_dark: Colour = "#93cfab"
    support: Link | None = None
    privacy_url: Link | None = None
    erase_url: Link | None = None
    accessibility_url: Link | None = None
    languages: Annotated[str, AfterValidator(_check_languages)] = ",".join(LANGUAGES)
    lead: Annotated[str, AfterValidator(_check_leads)] = ""
    code_channels: Annotated[str, AfterValidator(_check_code_channels)] = ""

    @model_validator(mode="after")
    def _check_contrast(self) -> "CentreSettings":
        for field, accent, on_accent, grounds in (
            ("accent", self.accent, ON_LIGHT_ACCENT, LIGHT_GROUNDS),
            ("accent_dark", self.accent_dark, ON_DARK_ACCENT, DARK_GROUNDS),
        ):
            every_ground = (*grounds, mix(accent, grounds[0], TINT))
            found = min(contrast(accent, other) for other in (on_accent, *every_ground))
            if found < MIN_CONTRAST:
                advice = "a darker one" if field == "accent" else "a lighter one"
                raise FieldError(
                    field, f"text in this colour would have a contrast of {found:.1f}, and needs 4.5: take {advice}"
                )
        return self


class Brand(NamedTuple):
    """The brand as the pages use it. `logo`, `logo_dark`: data URIs."""

    name: str
    legal_line: str
    logo: str | None
    logo_dark: str | None
    accent: str
    accent_dark: str
    support: str | None
    privacy_url: str | None
    erase_url: str | None
    accessibility_url: str | None
    languages: tuple[str, ...]
    leads: Mapping[str, str]
    code_channels: tuple[str, ...] = ()


def load_brand(settings: CentreSettings) -> Brand:
    """The brand of these settings, its logos read. Raises SettingsError for a file that is no logo."""
    fields = {name: getattr(settings, name) for name in Brand._fields if name in CentreSettings.model_fields}
    fields |= {
        "logo": _read_logo("LOGO_FILE", settings.logo_file),
        "logo_dark": _read_logo("LOGO_DARK_FILE", settings.logo_dark_file),
        "languages": tuple(dict.fromkeys(_split(settings.languages))) or (SOURCE_LANGUAGE,),
        "leads": _parse_leads(settings.lead),
        "code_channels": tuple(dict.fromkeys(_split(settings.code_channels))),
    }
    return Brand(**fields)


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, as WCAG defines it: 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mix(colour: str, ground: str, share: float) -> str:
    """A colour with some of another one in it, mixed in sRGB."""
    pairs = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _read_logo(name: str, path: Path | None) -> str | None:
    if path is None:
        return None
    variable = f"TACTFUL_CENTRE__{name}"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LOGO_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{variable}: {path} cannot be read ({error.strerror})") from None
    if len(data) > MAX_LOGO_BYTES:
        raise SettingsError(f"{variable}: {path} is larger than {MAX_LOGO_BYTES} bytes, and is in every page")
    media_type = "image/png" if data.startswith(_PNG) else "image/svg+xml" if _is_plain_svg(data) else None
    if media_type is None:
        raise SettingsError(f"{variable}: {path} is neither a PNG nor an SVG without scripts and links to other files")
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _is_plain_svg(data: bytes) -> bool:
    """Whether this is a picture and nothing else. Browsers run no script of an image; this keeps it from elsewhere."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return False
    if root.tag != f"{_SVG}svg":
        return False
    for element in root.iter():
        if str(element.tag).rpartition("}")[2] in _ACTIVE:
            return False
        for attribute, value in element.attrib.items():
            name = attribute.rpartition("}")[2].lower()
            if name.startswith("on") or (name == "href" and not value.startswith("#")) or "url(http" in value.lower():
                return False
    return True


def _split(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]

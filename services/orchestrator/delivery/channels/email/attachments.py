"""Attachments of mails: which files may be attached, and how a file's content shows that it is what its name says.

Programs are never attached, nor what may hold them: archives and documents of office programs.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_FILE: Final = 5 * 1024 * 1024
"""Bytes of one file."""
MAX_TOTAL: Final = 7 * 1024 * 1024
"""Bytes of all files of a mail: the smallest limit of a provider is 10 MB, of which base64 leaves three quarters."""
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,95}\.([A-Za-z]{3,4})")
"""ASCII without quotes and line breaks: such a name stands in a header as it is."""


class Attachment(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    media_type: str
    content: bytes


def _is_text(content: bytes) -> bool:
    """Whether it is UTF-8 without controls but tabs and line ends, as no program is."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return bool(text) and re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text) is None and text[:2] not in ("#!", "MZ")


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(beginnings)


def _is_calendar(content: bytes) -> bool:
    return _is_text(content) and content.removeprefix(b"\xef\xbb\xbf").lstrip().upper().startswith(b"BEGIN:VCALENDAR")


_TYPES: Final[dict[str, tuple[str, Callable[[bytes], bool]]]] = {
    "pdf": ("application/pdf", _starts(b"%PDF-")),
    "png": ("image/png", _starts(b"\x89PNG\r\n\x1a\n")),
    "jpg": ("image/jpeg", _starts(b"\xff\xd8\xff")),
    "jpeg": ("image/jpeg", _starts(b"\xff\xd8\xff")),
    "gif": ("image/gif", _starts(b"GIF87a", b"GIF89a")),
    "txt": ("text/plain", _is_text),
    "csv": ("text/csv", _is_text),
    "ics": ("text/calendar", _is_calendar),
}
ALLOWED_ENDINGS: Final = ", ".join(_TYPES)


def file_name_of(url: str) -> str:
    """The last part of the path of a URL; empty if there is none."""
    try:
        return urlsplit(url).path.rpartition("/")[2].replace("%20", " ")
    except ValueError:
        return ""


def media_type_of(name: str) -> str | None:
    """The media type that a file's name stands for; None if no such file may be attached."""
    found = _FILE_NAME.fullmatch(name)
    known = _TYPES.get(found[1].lower()) if found else None
    return None if known is None else known[0]


def is_what_it_says(name: str, content: bytes) -> bool:
    """Whether the content is of the type that the name stands for."""
    ending = name.rpartition(".")[2].lower()
    return media_type_of(name) is not None and _TYPES[ending][1](content)

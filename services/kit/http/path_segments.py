"""Routing on the path as it was sent: an id in a path may hold any character, a slash too.

ASGI's `path` is decoded as a whole, so `a%2Fb` looks like two segments. Here each segment of `raw_path` is decoded by
itself; what would then be taken for a separator stays encoded until the router has found the route, and the convertor
of path parameters decodes it last.
"""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import Scope

from services.kit.errors import Malformed

_SLASH: Final = "%2F"
_PERCENT: Final = "%25"


def quote_segment(text: str) -> str:
    """Returns text as one segment of a path. `.` and `..` are encoded too, since HTTP clients and proxies remove them;
    browsers do so even then, so pages must not use them as a segment.
    """
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def routable_path(scope: Scope) -> str:
    """Returns the path for the router, with only `%` and `/` inside a segment left encoded.

    Raises Malformed for bytes that are not UTF-8.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # optional in ASGI; without it no segment can hold a slash
        return str(scope["path"]).replace("%", _PERCENT)
    try:
        return "/".join(_decode_segment(segment) for segment in raw.partition(b"?")[0].split(b"/"))
    except UnicodeDecodeError:
        raise Malformed("the path is not UTF-8: percent-encode the UTF-8 bytes of each character") from None


def _decode_segment(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8").replace("%", _PERCENT).replace("/", _SLASH)


class _SegmentConvertor(StringConvertor):
    """The convertor of `{name}` in a route's path: ends the decoding that `routable_path` began."""

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/").replace(_PERCENT, "%")


register_url_convertor("str", _SegmentConvertor())  # before any route is made: compile_path looks it up by name

"""Notifications: what the channels share whose messages a device or a browser shows.

A notification has a title, a text and, where the content says so, a link that opens on a tap, a key by which a newer
notification replaces an older one, a priority, a time after which it is not worth delivering, and data for the app.

The data are one JSON object of texts. Each text is a template of its own, compiled after the JSON has been read: so no
value of an event can add a key or break the JSON. In findings and errors such a text is the field `data/<key>`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator

from schemas.fields import Document
from schemas.finding import Finding, warning
from schemas.times import SECOND, parse_duration
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError, Template, blank_markups, compile_template

MAX_COLLAPSE_KEY: Final = 64
"""Characters: what APNs takes; no other provider takes less than it can be shortened to."""
MAX_TTL: Final = 28 * 24 * 60 * 60
"""Seconds, 28 days: what FCM takes."""
MAX_DATA_KEYS: Final = 50
_DATA: Final = "data/"
_DATA_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_RESERVED_KEYS: Final = frozenset({"aps", "from", "message_type", "collapse_key", "notification"})
"""Keys that mean something else to a provider."""
_OWN_KEYS: Final = frozenset({"title", "body", "link", "tactful_message"})
"""Keys that the adapters write."""
_RESERVED_PREFIXES: Final = ("google", "gcm")
_COLLAPSE_KEY: Final = re.compile(r"[!-~]+")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NO_APP_SCHEMES: Final = frozenset(
    {"about", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "http", "https", "intent", "jar"}
    | {"javascript", "resource", "vbscript", "view-source", "ws", "wss"}
)
"""Schemes that browsers and systems understand: a link with one of them is no link into an app."""
_NOT_IN_LINKS: Final = re.compile(r'[\s<>"\\]')


def read_data(text: str) -> dict[str, str]:
    """The texts of a field `data`, by key. Raises ValueError, which says what to write."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON, at line {error.lineno}, column {error.colno}: write an object such as "
            '{"order": "{{ event.data.order }}"}; templates stand inside the quotes, with \' for their own texts'
        ) from None
    except RecursionError:
        raise ValueError("nested too deeply: the data are one object of texts") from None
    if not isinstance(found, dict):
        raise ValueError('not an object: write {"key": "text"}')
    if len(found) > MAX_DATA_KEYS:
        raise ValueError(f"has {len(found)} keys, at most {MAX_DATA_KEYS} are allowed")
    for key, value in found.items():
        _check_member(key, value)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has a key twice")
    return found


def _check_member(key: str, value: object) -> None:
    if not _DATA_KEY.fullmatch(key):
        raise ValueError("has a key that is not a letter or `_` and up to 63 letters, digits and `_.-` after it")
    if key in _OWN_KEYS:
        raise ValueError(f"has the key `{key}`, which is written from the other fields")
    if key.lower() in _RESERVED_KEYS or key.lower().startswith(_RESERVED_PREFIXES):
        raise ValueError(f"has the key `{key}`, which providers keep for themselves")
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is no text: providers carry texts alone, so put it in quotes")


def _check_data(text: str) -> str:
    read_data(text)
    return text


def _check_ttl(text: str) -> str:
    if parse_duration(text) > MAX_TTL * SECOND:
        raise ValueError("longer than 28 days, which is the most that providers keep a message")
    return text


class NotificationFields(Document):
    """Content of a notification. `data`: a JSON object of texts, each of them a template."""

    title: str
    body: str
    link: str | None = None
    collapse_key: str | None = None
    priority: Literal["high", "normal"] | None = None
    ttl: Annotated[str, AfterValidator(_check_ttl)] | None = None
    data: Annotated[str, AfterValidator(_check_data)] | None = None


class VisibleLength(NamedTuple):
    """About how many characters of a field one platform shows before it cuts it off."""

    platform: str
    field: str
    characters: int


@dataclass(kw_only=True)
class NotificationChannel:
    """A channel whose messages are notifications."""

    id: str
    sample_address: str
    max_title: int
    max_body: int
    max_payload: int
    """Bytes of `payload_of`."""
    visible_lengths: Sequence[VisibleLength]
    opens_apps: bool
    """Whether a link may lead into an app, such as `shop://orders/5`."""
    fields: type[Document] = NotificationFields
    sample_content: Mapping[str, str] = field(
        default_factory=lambda: {"title": "{{ customer.id }}", "body": "{{ customer.id }}"}
    )

    def payload_of(self, message: Mapping[str, str]) -> bytes:
        """What is measured of a message: its texts, link and data as JSON. Headers of providers do not count."""
        counted: dict[str, Any] = {name: message[name] for name in ("title", "body", "link") if name in message}
        if "data" in message:
            counted["data"] = json.loads(message["data"])
        return json.dumps({"message": counted}, ensure_ascii=False).encode()

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, the limits of content without values, and what platforms cut off."""
        problems = checks.check_templates(_split_data(content))
        if problems:
            return problems
        return [*check_sendable(self.compile_templates(content), self, marketing), *self._warn_of_cuts(content)]

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field, and one for each text of the data. Raises ValueError for data that are no JSON."""
        return {name: compile_template(source, False, name) for name, source in _split_data(content).items()}

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The fields that the content has: `ttl` in seconds, `data` as JSON. Raises RenderError."""
        message = {
            "title": checks.clean_line("title", compiled["title"].render(context), self.max_title),
            "body": checks.clean_text("body", compiled["body"].render(context), self.max_body),
        }
        if "link" in compiled:
            message["link"] = self._render_link(compiled["link"], context)
        if "collapse_key" in compiled:
            message["collapse_key"] = _clean_collapse_key(compiled["collapse_key"].render(context))
        if "priority" in compiled:
            message["priority"] = compiled["priority"].render(context)
        if "ttl" in compiled:
            message["ttl"] = str(parse_duration(compiled["ttl"].render(context)) // SECOND)
        data = {name.removeprefix(_DATA): name for name in compiled if name.startswith(_DATA)}
        if data:
            texts = {key: _clean_value(name, compiled[name].render(context)) for key, name in data.items()}
            message["data"] = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
        self._check_size(message)
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The size of the payload in bytes, and what is probably cut off where."""
        return {"payload_bytes": len(self.payload_of(rendered)), "cut_off": "; ".join(self._describe_cuts(rendered))}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """Where something of it is probably cut off; nothing where it is shown whole."""
        cut = [each.platform for each in self._cuts(rendered)]
        return f"cut off on {' and '.join(dict.fromkeys(cut))}" if cut else ""

    def _check_size(self, message: Mapping[str, str]) -> None:
        if 128 + sum(map(_most_bytes, message.values())) <= self.max_payload:  # as most messages are, by far
            return
        if (size := len(self.payload_of(message))) > self.max_payload:
            detail = f"the payload has {size} bytes, at most {self.max_payload} are allowed"
            raise RenderError("too_long", detail)

    def _render_link(self, template: Template, context: Mapping[str, Any]) -> str:
        """An https link, or one into an app whose scheme stands in the content itself: no value can choose it."""
        text = template.render(context)
        scheme = _SCHEME.match(template.source.lstrip()) if self.opens_apps else None
        if scheme is None or scheme[1].lower() in _NO_APP_SCHEMES:
            return checks.clean_https_link("link", text)
        link = text.strip()
        if not link.startswith(scheme[0]) or checks.has_control_character(link) or _NOT_IN_LINKS.search(link):
            detail = f"link must be an address such as {scheme[0]}orders/5, without blanks and quotes"
            raise RenderError("unsafe_link", detail, field="link", offset=len(text) - len(text.lstrip()))
        return checks.check_length("link", link, 2048, text)

    def _warn_of_cuts(self, content: Mapping[str, str]) -> Iterator[Finding]:
        """One warning for each field whose own words are longer than some platform shows."""
        texts = {
            name: " ".join(blank_markups(content[name]).split())
            for name in ("title", "body")
            if name in content and "{%" not in content[name]
        }
        for name in texts:
            cuts = [each for each in self._cuts(texts) if each.field == name]
            if cuts:
                shown = ", ".join(f"{each.platform} about {each.characters}" for each in cuts)
                detail = f"{name} has {len(texts[name])} characters without its values; shown are: {shown}"
                yield warning(f"/{name}", "may_be_cut", detail, "say what matters first")

    def _cuts(self, texts: Mapping[str, str]) -> list[VisibleLength]:
        return [each for each in self.visible_lengths if len(texts.get(each.field, "")) > each.characters]

    def _describe_cuts(self, texts: Mapping[str, str]) -> Iterator[str]:
        for each in self._cuts(texts):
            yield f"{each.field} after about {each.characters} characters on {each.platform}"


def _split_data(content: Mapping[str, str]) -> dict[str, str]:
    """The templates of a content: those of its fields, and in place of the data one for each of their texts."""
    sources = {name: source for name, source in content.items() if name != "data"}
    if "data" in content:
        sources |= {f"{_DATA}{key}": text for key, text in read_data(content["data"]).items()}
    return sources


def _most_bytes(text: str) -> int:
    """No fewer bytes than a rendered text takes in JSON, found without encoding it.

    It has no control characters but line breaks and tabs, so ASCII takes two bytes a character at most: a backslash
    and itself. Others take four at most.
    """
    return (2 if text.isascii() else 4) * len(text)


def _clean_collapse_key(text: str) -> str:
    key = text.strip()
    if not key:
        raise RenderError("empty", "collapse_key is empty", field="collapse_key")
    if not _COLLAPSE_KEY.fullmatch(key):
        detail = "collapse_key holds a blank or a character beyond ASCII: it is written in a header"
        raise RenderError("control_character", detail, field="collapse_key", offset=0)
    return checks.check_length("collapse_key", key, MAX_COLLAPSE_KEY, text)


def _clean_value(name: str, text: str) -> str:
    """A text of the data, which may be empty."""
    if checks.has_control_character(text, allowed="\n\r\t"):
        raise RenderError("control_character", f"{name} holds a control character", field=name, offset=0)
    return text

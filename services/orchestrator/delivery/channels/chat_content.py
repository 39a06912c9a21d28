"""Chat messages: what the channels share whose messages appear in a chat program such as Slack or Telegram.

A chat message has a text and, where the content says so, a title, facts (pairs of a label and a value), one or two
buttons with links, a severity and an image. It is plain text: adapters write it in the form of their program, so that
no value of an event becomes markup there. Web addresses become links, and Telegram finds mentions by itself.

The facts are one JSON object of texts, label to value. Each value is a template of its own, compiled after the JSON has
been read. Optional parts that render to nothing are left out.

The limits are those of the narrowest program, so that one content goes by every adapter. Programs count in different
ways; here an emoji counts twice, as in UTF-16, which is the most that any of them counts.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, model_validator

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError, compile_template, line_and_column

MAX_TITLE: Final = 128
"""Discord takes 256, and escaping can double them."""
MAX_FACTS: Final = 8
MAX_LABEL: Final = 40
MAX_VALUE: Final = 200
MAX_WORDS: Final = 2800
"""Title, text and facts together. Discord takes 6000 in an embed, and escaping can double them."""
MAX_BUTTON: Final = 40
MAX_LINK: Final = 512
"""What a button of Discord takes."""
MAX_IMAGE_TEXT: Final = 200
_FACTS: Final = "facts/"
_BUTTONS: Final = (("button", "link"), ("second_button", "second_link"))
_NOT_IN_LABELS: Final = frozenset("/~{}")
"""`/` and `~` mean something in the pointers of findings; braces would look like a template, which a label is not."""


def read_facts(text: str) -> dict[str, str]:
    """The values of a field `facts`, by label. Raises ValueError, which says what to write."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON, at line {error.lineno}, column {error.colno}: write an object such as "
            '{"Order": "{{ event.data.order }}"}; templates stand inside the quotes, with \' for their own texts'
        ) from None
    except RecursionError:
        raise ValueError("nested too deeply: the facts are one object of texts") from None
    if not isinstance(found, dict):
        raise ValueError('not an object: write {"label": "text"}')
    if len(found) > MAX_FACTS:
        raise ValueError(f"has {len(found)} facts, at most {MAX_FACTS} are allowed")
    for label, value in found.items():
        _check_fact(label, value)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has a label twice")
    return found


def _check_fact(label: str, value: object) -> None:
    if not label.strip() or label != label.strip() or count_characters(label) > MAX_LABEL:
        raise ValueError(f"has a label that is empty, has blanks around it, or more than {MAX_LABEL} characters")
    if checks.has_control_character(label) or not _NOT_IN_LABELS.isdisjoint(label):
        raise ValueError("has a label with a line break or one of / ~ { }; labels are no templates")
    if not isinstance(value, str):
        raise ValueError(f"`{label}` is no text: put it in quotes")


def _check_facts(text: str) -> str:
    read_facts(text)
    return text


class PostFields(Document):
    """Content of a message in a chat program: what a post has as well."""

    text: str
    title: str | None = None
    button: str | None = None
    link: str | None = None
    image: str | None = None
    image_text: str | None = None

    @model_validator(mode="after")
    def _check_pairs(self) -> "PostFields":
        for label, link in _BUTTONS:
            if (getattr(self, label, None) is None) != (getattr(self, link, None) is None):
                raise ValueError(f"`{label}` and `{link}` belong together: write both or none")
        if self.image_text is not None and self.image is None:
            raise ValueError("`image_text` describes an `image`, which is not there")
        return self


class ChatFields(PostFields):
    """Content of a chat message. `facts`: a JSON object of texts, each of them a template."""

    facts: Annotated[str, AfterValidator(_check_facts)] | None = None
    second_button: str | None = None
    second_link: str | None = None
    severity: Literal["info", "success", "warning", "danger"] | None = None


@dataclass(kw_only=True)
class ChatContentChannel:
    """A channel whose messages appear in chat programs."""

    id: str
    sample_address: str
    fields: type[Document]
    max_text: int
    sample_content: Mapping[str, str]
    private_names: frozenset[str] = field(default_factory=frozenset)
    """Names that content must not read, because everybody sees it."""

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, what a public post must not say, and the limits of content without values."""
        problems = checks.check_templates(_split_facts(content))
        if problems:
            return problems
        compiled = self.compile_templates(content)
        return [*self._find_private_reads(compiled)] or check_sendable(compiled, self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field, and one for each fact. Raises ValueError for facts that are no JSON."""
        return {name: compile_template(source, False, name) for name, source in _split_facts(content).items()}

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The parts that the message has; `facts` as JSON. Raises RenderError."""
        for found in self._find_private_reads(compiled):
            raise RenderError("customer_data", found.detail, field=found.pointer.removeprefix("/"))
        text = checks.clean_text("text", _written(compiled, "text", context), self.max_text).replace("\r\n", "\n")
        message = {"text": _limit("text", text, self.max_text)}
        if title := _written(compiled, "title", context).strip():
            message["title"] = _clean_line("title", title, MAX_TITLE)
        if facts := dict(_render_facts(compiled, context)):
            message["facts"] = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        _check_sum(message, facts)
        for label, link in _BUTTONS:
            message |= _render_button(label, link, compiled, context)
        message |= _render_image(compiled, context)
        if "severity" in compiled:
            message["severity"] = compiled["severity"].render(context)
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """How many characters title, text and facts have; an emoji counts twice."""
        facts = json.loads(rendered.get("facts", "{}"))
        return {"characters": _count_words(rendered, facts)}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """Nothing."""
        return ""

    def _find_private_reads(self, compiled: CompiledTemplates) -> Iterator[Finding]:
        """Where templates read what only one customer may see."""
        for name, template in compiled.items():
            for index, path in template.reads():
                if path[0] in self.private_names:
                    line, column = line_and_column(template.source, index)
                    detail = (
                        f"line {line}, column {column}: everybody reads a post, so it must not use `{path[0]}`, which "
                        "is about one customer"
                    )
                    remedy = "say it without the customer's data"
                    yield Finding(f"/{name}", "customer_data", detail, line, column, suggestion=remedy)


def count_characters(text: str) -> int:
    """The length of a text in UTF-16, where an emoji counts twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _split_facts(content: Mapping[str, str]) -> dict[str, str]:
    """The templates of a content: those of its fields, and in place of the facts one for each of their values."""
    sources = {name: source for name, source in content.items() if name != "facts"}
    if "facts" in content:
        sources |= {f"{_FACTS}{label}": text for label, text in read_facts(content["facts"]).items()}
    return sources


def _written(compiled: CompiledTemplates, name: str, context: Mapping[str, Any]) -> str:
    return compiled[name].render(context) if name in compiled else ""


def _render_facts(compiled: CompiledTemplates, context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, template in compiled.items():
        if name.startswith(_FACTS) and (value := template.render(context).strip()):
            yield name.removeprefix(_FACTS), _clean_line(name, value, MAX_VALUE)


def _render_button(label: str, link: str, compiled: CompiledTemplates, context: Mapping[str, Any]) -> dict[str, str]:
    """A button of which both parts are empty is left out. When content is saved, each is tried without the other."""
    words, target = _written(compiled, label, context).strip(), _written(compiled, link, context).strip()
    if label in compiled and link in compiled and bool(words) != bool(target):
        raise RenderError("empty", f"{label if target else link} is empty, and {link if target else label} is not")
    button = {label: _clean_line(label, words, MAX_BUTTON)} if words else {}
    return {**button, link: _clean_link(link, target)} if target else button


def _render_image(compiled: CompiledTemplates, context: Mapping[str, Any]) -> dict[str, str]:
    """An image without a link is left out, and its words with it."""
    target, words = (_written(compiled, name, context).strip() for name in ("image", "image_text"))
    text = {"image_text": _clean_line("image_text", words, MAX_IMAGE_TEXT)} if words else {}
    if "image" in compiled and not target:
        return {}
    return {"image": _clean_link("image", target), **text} if target else text


def _clean_line(name: str, text: str, limit: int) -> str:
    return _limit(name, checks.clean_line(name, text, limit), limit)


def _clean_link(name: str, text: str) -> str:
    return checks.check_length(name, checks.clean_https_link(name, text), MAX_LINK, text)


def _limit(name: str, text: str, limit: int) -> str:
    """Raises RenderError for more characters than the limit."""
    if (size := count_characters(text)) > limit:
        detail = f"{name} has {size} characters (an emoji counts twice), at most {limit} are allowed"
        raise RenderError("too_long", detail, field=name)
    return text


def _check_sum(message: Mapping[str, str], facts: Mapping[str, str]) -> None:
    if (size := _count_words(message, facts)) > MAX_WORDS:
        count = f"{size} characters (an emoji counts twice)"
        detail = f"title, text and facts have {count}, at most {MAX_WORDS} are allowed"
        raise RenderError("too_long", detail)


def _count_words(message: Mapping[str, str], facts: Mapping[str, str]) -> int:
    texts = [message.get("title", ""), message.get("text", ""), *facts.keys(), *facts.values()]
    return sum(map(count_characters, texts))

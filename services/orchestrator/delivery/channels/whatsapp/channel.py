"""WhatsApp: an approved template with parameters, or free text within a day of the customer's last message."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from schemas.fields import Document
from schemas.finding import Finding, warning
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.orchestrator.delivery.channels.whatsapp.parameters import (
    BODY,
    BUTTONS,
    read_body_parameters,
    read_button_parameters,
    split_parameters,
    write_parameters,
)
from services.orchestrator.delivery.channels.whatsapp.wording import (
    fill_in,
    find_fault,
    find_placeholders,
    mark_placeholders,
)
from services.template import RenderError, compile_template

MAX_TEXT: Final = 4096
MAX_BODY: Final = 1024
MAX_HEADER: Final = 60
MAX_FOOTER: Final = 60
MAX_URL_PART: Final = 2000
MAX_PAYLOAD: Final = 128
MAX_CODE: Final = 15
WORDINGS: Final = ("header_text", "body_text", "footer_text")
_FIXED: Final = ("template", "language", "header_media")
"""Fields that no value can choose."""
_BUTTON_LIMITS: Final = {"url": MAX_URL_PART, "quick_reply": MAX_PAYLOAD, "copy_code": MAX_CODE}
_MANY_BLANKS: Final = re.compile(" {5,}")
_BLANKS: Final = re.compile(r"\s")


def _check_body_parameters(text: str) -> str:
    read_body_parameters(text)
    return text


def _check_button_parameters(text: str) -> str:
    read_button_parameters(text)
    return text


TemplateName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9_]{1,512}|HX[0-9a-fA-F]{32})$")]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Za-z0-9]{2,4})?$")]


class WhatsappFields(Document):
    """Content of a message on WhatsApp: `text`, or `template` with `language` and what the template has places for."""

    text: str | None = None
    template: TemplateName | None = None
    language: LanguageCode | None = None
    header_parameter: str | None = None
    header_media: Literal["image", "video", "document"] | None = None
    header_link: str | None = None
    body_parameters: Annotated[str, AfterValidator(_check_body_parameters)] | None = None
    button_parameters: Annotated[str, AfterValidator(_check_button_parameters)] | None = None
    header_text: str | None = None
    body_text: str | None = None
    footer_text: str | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if (self.text is None) == (self.template is None):
            raise ValueError("write `text`, or `template` with its `language`")
        others = self.model_dump(exclude_none=True).keys() - {"text"}
        if self.text is not None and others:
            raise ValueError(f"free text has no {', '.join(sorted(others))}: they are of a template")
        if self.template is not None and self.language is None:
            raise ValueError("a template needs the `language` that it was approved in")
        if (self.header_media is None) != (self.header_link is None):
            raise ValueError("`header_media` and `header_link` belong together")
        if self.header_media is not None and (self.header_parameter is not None or self.header_text is not None):
            raise ValueError("a header is text, or an image, a video or a document")
        return self


class WhatsappChannel:
    """The channel `whatsapp`."""

    id = "whatsapp"
    fields: type[Document] = WhatsappFields
    sample_content: Mapping[str, str] = {"text": "{{ customer.id }}"}
    sample_address = "+49 151 12345678"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, lengths, and whether the wording has a place for each parameter."""
        problems = [*checks.check_templates(_templates_of(content)), *_check_wordings(content)]
        if problems:
            return problems
        found = check_sendable(self.compile_templates(content), self, marketing)
        if "template" in content and "body_text" not in content:
            detail = "without the wording, previews show the parameters alone, and its length is not checked"
            found.append(warning("/template", "no_wording", detail, "copy the approved text into `body_text`"))
        return found

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field, one for each parameter, and each wording as text with marks. Raises ValueError for
        parameters that are no JSON.
        """
        wordings = {name: mark_placeholders(content[name]) for name in WORDINGS if name in content}
        sources = {**_templates_of(content), **wordings}
        return {name: compile_template(source, False, name) for name, source in sources.items()}

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The fields of the message; `text` is what the customer reads, also of a template. Raises RenderError."""
        texts = {name: template.render(context) for name, template in compiled.items()}
        message: dict[str, str] = {name: texts[name] for name in _FIXED if name in texts}
        if "header_parameter" in texts:
            message["header_parameter"] = _clean_parameter("header_parameter", texts["header_parameter"], MAX_HEADER)
        if "header_link" in texts:
            message["header_link"] = checks.clean_https_link("header_link", texts["header_link"])
        if body := _clean_group(BODY, texts):
            message[BODY] = write_parameters(BODY, body)
        if buttons := _clean_group(BUTTONS, texts):
            message[BUTTONS] = write_parameters(BUTTONS, buttons)
        message |= _fill_wordings(texts, message.get("header_parameter"), body)
        if "text" in texts:
            message["text"] = checks.clean_text("text", texts["text"], MAX_TEXT).replace("\r\n", "\n")
        else:
            message["text"] = _write_visible_text(message, body)
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """How the message is sent, and the length of its text in characters."""
        kind = "template" if "template" in rendered else "free text"
        length = len(rendered.get("body_text" if kind == "template" else "text", ""))
        return {"kind": kind, "body_characters": length}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """The template and its language, or that it is free text."""
        if "template" not in rendered:
            return "free text, within 24 hours of the customer's last message"
        return f"template {rendered['template']} ({rendered.get('language', '')})"


def _templates_of(content: Mapping[str, str]) -> dict[str, str]:
    """The sources of our own templates: fields and parameters, without wordings."""
    plain = {name: text for name, text in content.items() if name not in (BODY, BUTTONS, *WORDINGS)}
    return plain | split_parameters(content)


def _check_wordings(content: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with wordings, and where parameters and places differ."""
    for name in WORDINGS:
        if name in content and (fault := find_fault(content[name])) is not None:
            yield Finding(f"/{name}", "bad_wording", f"{name} {fault}")
            return
    body = set(read_body_parameters(content[BODY])) if BODY in content else set()
    header = {"1"} if "header_parameter" in content else set()
    for name, expected in {"header_text": header, "body_text": body, "footer_text": set[str]()}.items():
        if name in content and (places := find_placeholders(content[name])) != expected:
            detail = f"{name} has places for {_list(places)}, and the parameters are {_list(expected)}"
            yield Finding(f"/{name}", "parameters_differ", detail)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _clean_group(field: str, texts: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the body or of the buttons, by name."""
    found = {}
    for name, text in texts.items():
        if name.startswith(f"{field}/"):
            key = name.removeprefix(f"{field}/")
            limit = _BUTTON_LIMITS[key.partition("/")[0]] if field == BUTTONS else MAX_BODY
            found[key] = _clean_parameter(name, text, limit)
            if field == BUTTONS and key.startswith("url/") and _BLANKS.search(found[key]):
                detail = f"{name} is a part of an address, and holds a blank"
                raise RenderError("unsafe_link", detail, field=name, offset=0)
    return found


def _clean_parameter(field: str, text: str, limit: int) -> str:
    """One line, and no more than four blanks in a row: Meta refuses a parameter that has either."""
    return checks.clean_line(field, _MANY_BLANKS.sub(" " * 4, text), limit)


def _fill_wordings(texts: Mapping[str, str], header: str | None, body: Mapping[str, str]) -> dict[str, str]:
    parameters = {"header_text": {} if header is None else {"1": header}, "body_text": body, "footer_text": {}}
    limits = {"header_text": MAX_HEADER, "body_text": MAX_BODY, "footer_text": MAX_FOOTER}
    filled = {}
    for name in WORDINGS:
        if name in texts:
            filled[name] = fill_in(texts[name], parameters[name]).strip()
            if not filled[name]:
                raise RenderError("empty", f"{name} is empty", field=name)
            if len(filled[name]) > limits[name]:
                detail = f"{name} has {len(filled[name])} characters with its parameters, at most {limits[name]} fit"
                raise RenderError("too_long", detail)
    return filled


def _write_visible_text(message: Mapping[str, str], body: Mapping[str, str]) -> str:
    """What the customer reads of a template, as far as its wording is known; else its name and its parameters."""
    if "body_text" in message:
        parts = [message[name] for name in WORDINGS if name in message]
        return "\n\n".join([*([f"[{message['header_media']}]"] if "header_media" in message else ()), *parts])
    values = [message[name] for name in ("header_parameter",) if name in message] + list(body.values())
    named = f"Template {message.get('template', '')} ({message.get('language', '')})"
    return f"{named}: {', '.join(values)}" if values else named


CHANNEL: Final = WhatsappChannel()

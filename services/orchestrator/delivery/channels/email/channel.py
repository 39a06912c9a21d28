"""E-mail: subject, preheader, HTML or MJML, and text."""

import html as markup
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import model_validator

from schemas.fields import Document
from schemas.finding import Finding, Severity, warning
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.email import mjml
from services.orchestrator.delivery.channels.email.attachments import ALLOWED_ENDINGS, file_name_of, media_type_of
from services.orchestrator.delivery.channels.email.direction import find_missing_direction
from services.orchestrator.delivery.channels.email.html_text import html_to_text
from services.orchestrator.delivery.channels.email.imprint import add_imprint
from services.orchestrator.delivery.channels.sendability import check_sendable, render_sample
from services.template import RenderError, blank_markups, check_html, line_and_column

MAX_SUBJECT: Final = 255
MAX_TEXT: Final = 200_000
HTML_FIELDS: Final = frozenset({"html", "mjml"})
_SHORTEN: Final = "shorten the content, or take out styles and comments that it does not need"
_FILES: Final = "attachments"
_PAGE_PART: Final = re.compile(
    r"<!--.*?-->|<\?[^>]*>|<!\[[^>]*>|<(?P<raw>style|title|script|noscript|xml|template)\b.*?</(?P=raw)\s*>"
    r"|(?P<head><!doctype\b[^>]*>|</?(?:html|head)\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>|<(?:meta|link|base)\b[^>]*>)"
    r"|(?P<body><body\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>)|(?P<content><[a-z]|[^\s<\ufeff])",
    re.IGNORECASE | re.DOTALL,
)
"""The parts of a page before its body: comments, raw texts, what belongs to the head, the body's tag, other content."""
UNSUBSCRIBE_VARIABLE: Final = "links.unsubscribe"
MAX_MARKETING_HTML: Final = 102 * 1024
"""Bytes of HTML that Gmail shows. It cuts off what follows, which is where the way out stands."""
MUCH_MARKETING_HTML: Final = 90 * 1024
"""Bytes from which saving warns: what customers fill in comes on top."""
MAX_ATTACHMENTS: Final = 5


class EmailFields(Document):
    """Content of an e-mail: `html` or `mjml`; a text that is absent is derived.

    `attachments`: the https addresses of files, one a line.
    """

    subject: str
    preheader: str | None = None
    html: str | None = None
    mjml: str | None = None
    text: str | None = None
    attachments: str | None = None

    @model_validator(mode="after")
    def _one_body(self) -> "EmailFields":
        if (self.html is None) == (self.mjml is None):
            raise ValueError("an e-mail has either `html` or `mjml`")
        return self


class EmailChannel:
    """The channel `email`."""

    id = "email"
    fields: type[Document] = EmailFields
    sample_content: Mapping[str, str] = {
        "subject": "{{ customer.id }}",
        "html": '<p>{{ customer.id }}</p><a href="{{ links.unsubscribe }}">Unsubscribe</a>',
    }
    sample_address = "Ada@example.org"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, MJML elements, and the way out of marketing."""
        problems = checks.check_templates(content, HTML_FIELDS)
        if problems:
            return problems
        for line, detail in mjml.unknown_tags(blank_markups(content.get("mjml", ""))):
            problems.append(Finding("/mjml", "unknown_element", f"line {line}: {detail}", line, 1))
        problems += (
            _relative_link_finding(field, source, *found)
            for field, source in content.items()
            if field in HTML_FIELDS
            for found in mjml.relative_links(source)
        )
        problems += (
            _place(f"/{field}", "too_many", source, *found)
            for field, source in content.items()
            if field in HTML_FIELDS
            for found in mjml.crowded_elements(blank_markups(source))
        )
        if problems:
            return problems
        compiled = self.compile_templates(content)
        if marketing:
            problems = [
                Finding(f"/{field}", "no_unsubscribe", "marketing must show {{ links.unsubscribe }} in HTML and text")
                for field, template in compiled.items()
                if field in ("html", "mjml", "text") and UNSUBSCRIBE_VARIABLE not in template.variables()
            ]
        problems = problems or check_sendable(compiled, self, marketing)
        if marketing and not any(each.severity is Severity.ERROR for each in problems):
            problems += self._size_findings(compiled)
        for field in HTML_FIELDS & content.keys():
            problems += find_missing_direction(field, content[field])
        return problems

    def _size_findings(self, compiled: CompiledTemplates) -> list[Finding]:
        sample = render_sample(compiled, self, marketing=True)
        size = 0 if sample is None else len(sample["html"].encode())
        if size <= MUCH_MARKETING_HTML:
            return []
        detail = (
            f"the HTML has {size:,} bytes with sample values; from {MAX_MARKETING_HTML + 1:,} on a marketing mail is "
            "not sent, because Gmail cuts it off"
        )
        return [warning("/mjml" if "mjml" in compiled else "/html", "nearly_too_large", detail, _SHORTEN)]

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field."""
        return checks.compile_fields(content, HTML_FIELDS)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """Subject, preheader, HTML, text, and of marketing the way out.

        Liquid comes first, then MJML, then the styles are inlined.
        """
        subject = checks.clean_header("subject", compiled["subject"].render(context), MAX_SUBJECT)
        body_field = "mjml" if "mjml" in compiled else "html"
        try:
            page = mjml.inline_styles(_render_html(compiled, context))
            check_html(page)
            text_source = "" if "text" in compiled else html_to_text(page)
            text = checks.clean_text(body_field, text_source, MAX_TEXT) if text_source else subject
        except RenderError as error:
            error.field = body_field
            raise
        if "text" in compiled:
            text = checks.clean_text("text", compiled["text"].render(context), MAX_TEXT)
        message = {"subject": subject, "html": page, "text": text}
        if "preheader" in compiled:
            message["preheader"] = checks.clean_line("preheader", compiled["preheader"].render(context), MAX_SUBJECT)
            message["html"] = _with_preheader(page, message["preheader"])
        if marketing:
            link = str((context.get("links") or {}).get("unsubscribe") or "")
            _require_unsubscribe_link(message, link, body_field, "text" if "text" in compiled else body_field)
            message["unsubscribe"] = link  # for the header List-Unsubscribe
            add_imprint(message, context.get("sender") or {})
            _refuse_cut_html(message["html"], body_field)
        if "attachments" in compiled and (files := compiled["attachments"].render(context).split()):
            message["attachments"] = "\n".join(_check_files(files))
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """Length of the subject, size of the HTML; Gmail cuts mails above 102 kB."""
        size = len(rendered["html"].encode())
        cut = int(size > MAX_MARKETING_HTML)
        return {"subject_characters": len(rendered["subject"]), "html_bytes": size, "cut_by_gmail": cut}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """Nothing."""
        return ""


def _place(pointer: str, code: str, source: str, index: int, detail: str) -> Finding:
    line, column = line_and_column(source, index)
    return Finding(pointer, code, f"line {line}, column {column}: {detail}", line, column)


def _relative_link_finding(field: str, source: str, index: int, detail: str) -> Finding:
    line, column = line_and_column(source, index)
    remedy = "write the whole address, beginning with `https://`"
    return Finding(f"/{field}", "unsafe_link", f"line {line}, column {column}: {detail}", line, column, remedy)


def _render_html(compiled: CompiledTemplates, context: Mapping[str, Any]) -> str:
    if "mjml" in compiled:
        return mjml.mjml_to_html(compiled["mjml"].render(context))
    page = compiled["html"].render(context)
    if not page.strip():
        raise RenderError("empty", "html is empty")
    return page


def _with_preheader(page: str, preheader: str) -> str:
    hidden = f'<div style="display:none;max-height:0;overflow:hidden">{markup.escape(preheader)}</div>'
    insert_at = _body_start(page)
    return page[:insert_at] + hidden + page[insert_at:]


def _body_start(page: str) -> int:
    """Returns the index after `<body>`, or where a page without this tag begins its body. What stands in comments, as
    Outlook's conditional ones, or in styles is no tag.
    """
    start = 0
    for found in _PAGE_PART.finditer(page):
        if found["head"]:
            start = found.end()
        elif found["body"]:
            return found.end()
        elif found["content"]:
            break
    return start


def _require_unsubscribe_link(message: Mapping[str, str], link: str, body_field: str, text_field: str) -> None:
    for part, field in (("html", body_field), ("text", text_field)):
        if not link or link not in markup.unescape(message[part]):
            detail = f"marketing without its unsubscribe link in {'HTML' if part == 'html' else 'the text'} is not sent"
            raise RenderError("no_unsubscribe", detail, field=field)


def _refuse_cut_html(page: str, field: str) -> None:
    size = len(page.encode())
    if size > MAX_MARKETING_HTML:
        detail = (
            f"the HTML has {size:,} bytes, and that of a marketing mail may have {MAX_MARKETING_HTML:,}, because Gmail "
            f"cuts off the rest: {_SHORTEN}"
        )
        raise RenderError("too_large", detail, field=field)


def _check_files(files: list[str]) -> list[str]:
    """The addresses of attachments, if each is one of https that ends with a file name of an allowed type."""
    if len(files) > MAX_ATTACHMENTS:
        detail = f"{len(files)} attachments, at most {MAX_ATTACHMENTS} are allowed"
        raise RenderError("bad_attachment", detail, field=_FILES)
    for each in files:
        checks.clean_https_link(_FILES, each)
        if media_type_of(file_name_of(each)) is None:
            detail = f"attachments: an address has to end with a file name in ASCII, of the types {ALLOWED_ENDINGS}"
            raise RenderError("bad_attachment", detail, field=_FILES)
    return files


CHANNEL: Final = EmailChannel()

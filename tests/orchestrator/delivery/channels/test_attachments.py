"""Attachments: which a content may name, and what a file has to be."""

import pytest

from services.orchestrator.delivery.channels.email.attachments import file_name_of, is_what_it_says, media_type_of
from services.orchestrator.delivery.channels.email.channel import CHANNEL as EMAIL
from services.template import RenderError

BASE = "https://files.shop.example"
PDF = b"%PDF-1.7\n"


def render(attachments: str, **data: object) -> dict[str, str]:
    content = {"subject": "Hi", "html": "<p>x</p>", "attachments": attachments}
    return EMAIL.render(EMAIL.compile_templates(content), {"event": {"data": data}}, False)


def test_a_message_names_its_files_one_a_line() -> None:
    message = render(f"{BASE}/terms.pdf\n  {BASE}/i/{{{{ event.data.number }}}}.pdf?key=a", number="A-7")
    assert message["attachments"] == f"{BASE}/terms.pdf\n{BASE}/i/A-7.pdf?key=a"
    assert "attachments" not in render("{% if false %}x{% endif %}")


@pytest.mark.parametrize(
    ("attachments", "code"),
    [
        ("http://files.shop.example/a.pdf", "unsafe_link"),
        ("https://user@files.shop.example/a.pdf", "unsafe_link"),
        ("terms.pdf", "unsafe_link"),
        (f"{BASE}/run.exe", "bad_attachment"),
        (f"{BASE}/letter.docm", "bad_attachment"),
        (f"{BASE}/files.zip", "bad_attachment"),
        (f"{BASE}/page.html", "bad_attachment"),
        (f"{BASE}/invoice.pdf.exe", "bad_attachment"),
        (f"{BASE}/", "bad_attachment"),
        (f"{BASE}/a%0d%0aBcc.pdf", "bad_attachment"),
        (f"{BASE}/r\u00e9sum\u00e9.pdf", "bad_attachment"),
        ("\n".join([f"{BASE}/a.pdf"] * 6), "bad_attachment"),
    ],
)
def test_what_cannot_be_attached_is_not_rendered(attachments: str, code: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(attachments)
    assert (caught.value.code, caught.value.field) == (code, "attachments")


@pytest.mark.parametrize(
    ("attachments", "codes"),
    [
        (f"{BASE}/terms.pdf", []),
        (f"{BASE}/run.exe", ["bad_attachment"]),
        (f"{BASE}/{{{{ event.data.number }}}}.pdf", ["may_fail"]),
        ("{{ event.data.url }}", ["may_fail"]),
    ],
)
def test_a_save_tries_attachments_as_it_tries_all_fields(attachments: str, codes: list[str]) -> None:
    content = {"subject": "Hi", "html": "<p>x</p>", "attachments": attachments}
    found = EMAIL.validate_content(content, False)
    assert [each.code for each in found] == codes
    assert all(each.pointer == "/attachments" for each in found)


@pytest.mark.parametrize(
    ("name", "content", "fits"),
    [
        ("a.pdf", PDF, True),
        ("a.PDF", PDF, True),
        ("a.pdf", b"MZ\x90\x00", False),
        ("a.pdf", b"<html>", False),
        ("a.png", b"\x89PNG\r\n\x1a\n", True),
        ("a.png", b"\xff\xd8\xff", False),
        ("a.jpg", b"\xff\xd8\xff\xe0", True),
        ("a.gif", b"GIF89a", True),
        ("a.txt", "Grüße\r\n".encode(), True),
        ("a.txt", b"", False),
        ("a.txt", b"MZ\x90\x00\x03", False),
        ("a.txt", b"#!/bin/sh\nrm -r /", False),
        ("a.csv", b"a;b\n1;2\n", True),
        ("a.csv", "ä".encode("latin-1"), False),
        ("a.ics", b"BEGIN:VCALENDAR\r\n", True),
        ("a.ics", b"Hello", False),
        ("a.exe", b"MZ", False),
    ],
)
def test_a_file_has_to_be_what_its_name_says(name: str, content: bytes, fits: bool) -> None:
    assert is_what_it_says(name, content) is fits


@pytest.mark.parametrize(
    "name", ['a".pdf', "a\r\nB: c.pdf", ".pdf", "a/b.pdf", "x" * 97 + ".pdf", "ä.pdf", "a.pdf;b.pdf"]
)
def test_no_name_can_leave_its_header(name: str) -> None:
    assert media_type_of(name) is None


def test_a_name_is_the_end_of_the_path() -> None:
    assert file_name_of(f"{BASE}/a/Invoice%207.pdf?x=y/b.exe") == "Invoice 7.pdf"

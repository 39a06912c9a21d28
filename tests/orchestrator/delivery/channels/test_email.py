"""E-mail: addresses, headers, MJML, the derived text, and the way out of marketing."""

import re
import time
from pathlib import Path

import pytest

from services.orchestrator.delivery.channels.email.channel import CHANNEL as EMAIL
from services.orchestrator.delivery.channels.email.channel import _with_preheader
from services.orchestrator.delivery.channels.email.html_text import html_to_text
from services.template import RenderError

PREHEADER = '<div style="display:none;max-height:0;overflow:hidden">Soon</div>'
OUT = "https://example.org/u/1?a=1&b=2"
CONTEXT = {"customer": {"id": "c-1", "traits": {"name": "Ada"}}, "links": {"unsubscribe": OUT}}
LINK = '<a href="{{ links.unsubscribe }}">Stop</a>'
MJML = (
    "<mjml><mj-head><mj-style>.big{color:#f00}@media print{.big{color:#000}}</mj-style></mj-head><mj-body><mj-section>"
    "<mj-column><mj-text css-class='big'>Hi {{ customer.traits.name }}</mj-text>"
    '<mj-button href="{{ links.unsubscribe }}">Stop</mj-button></mj-column></mj-section></mj-body></mjml>'
)


def render(marketing: bool = False, **content: str) -> dict[str, str]:
    return EMAIL.render(EMAIL.compile_templates({"subject": "Hi", **content}), CONTEXT, marketing)


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: x",
        "a\nb",
        "a\x00",
        "a\x85b",
        "a\u2028b",
        "=?utf-8?q?a=0D=0ABcc:x@y?=",
        "=?nope?q?a?=\x07",
        "=?utf-8?q?=0D=0ABcc:x@y",
        "=?",
    ],
)
def test_a_subject_never_holds_a_line_break_even_inside_an_encoded_word(subject: str) -> None:
    compiled = EMAIL.compile_templates({"subject": "{{ customer.id }}", "html": "<p>x</p>"})
    with pytest.raises(RenderError) as caught:
        EMAIL.render(compiled, {"customer": {"id": subject}}, False)
    assert caught.value.code == "control_character"


def test_html_values_are_escaped_and_subject_values_are_not() -> None:
    compiled = EMAIL.compile_templates({"subject": "{{ customer.id }}", "html": "<p>{{ customer.id }}</p>"})
    message = EMAIL.render(compiled, {"customer": {"id": "A & <b>"}}, False)
    assert message == {"subject": "A & <b>", "html": "<p>A &amp; &lt;b&gt;</p>", "text": "A & <b>"}


def test_mjml_becomes_html_with_styles_in_its_elements_and_nothing_loaded_from_elsewhere() -> None:
    message = render(mjml=MJML, marketing=True)
    assert "mjml" not in message
    assert "color: #f00" in message["html"] or "color:#f00" in message["html"].replace(" ", "")
    assert "@media print" in message["html"]
    assert "fonts.googleapis.com" not in message["html"] and "mailjet" not in message["html"]
    assert message["text"] == f"Hi Ada\n\nStop ({OUT})"


def test_a_style_sheet_is_never_read_from_a_file(tmp_path: Path) -> None:
    sheet = tmp_path / "a.css"
    sheet.write_text("p { color: blue }")
    page = f'<head><style>p{{margin:0}}</style><link rel="stylesheet" href="file://{sheet}"></head><p>x</p>'
    assert "blue" not in render(html=page)["html"]


def test_the_preheader_stands_hidden_at_the_start_of_the_body() -> None:
    message = render(html="<html><body class='x'><p>Hello</p></body></html>", preheader="Soon & <more>")
    assert message["preheader"] == "Soon & <more>"
    assert message["html"].index("Soon &amp; &lt;more&gt;") < message["html"].index("Hello")
    assert message["text"] == "Hello"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("<html><!--[if mso]><body><![endif]--><!--[if !mso]><!--><body title='a>b'>", "<!--<![endif]-->x"),
        ("<html><head><title><body></title><style>/*<body>*/</style></head><body>", "x</body></html>"),
        ("", "<!--[if mso]><body><![endif]--><p>x</p>"),
        ("<!doctype html>", "<p>x</p>"),
        ("<html><head><meta charset='utf-8'></head>", "<p>x</p>"),
        ("<?xml version='1.0'?><html><head><title>x</title></head><body>", "x"),
        ("\ufeff<!doctype html><html><body>", "x"),
        ("<html><![if !mso]><body>", "<![endif]>x"),
        ("<html><head><template><body></template></head><body>", "x"),
    ],
)  # fmt: skip
def test_the_preheader_never_stands_in_a_comment_or_before_the_document(start: str, end: str) -> None:
    assert _with_preheader(start + end, "Soon").replace(PREHEADER, "@") == f"{start}@{end}"


STYLE = (
    "a:hover { color: red; } [data-ogsc] .dark { color: white; } .nobody { margin: 3px; } a::before { content: '-'; }"
    " p { margin: 1px; } @media print { p { margin: 2px; } } .nobody, i { padding: 0; }"
)
MAIL = {
    "html": f"<html><head><style>{STYLE}</style></head><body><p><a href='#'>x</a></p></body></html>",
    "fragment": f"<style>{STYLE}</style><p><a href='#'>x</a></p>",
    "mjml": f"<mjml><mj-head><mj-style>{STYLE}</mj-style></mj-head><mj-body><mj-section><mj-column><mj-text><p>x</p>"
    "</mj-text></mj-column></mj-section></mj-body></mjml>",
    "mjml inline": f"<mjml><mj-head><mj-style inline='inline'>{STYLE}</mj-style></mj-head><mj-body><mj-section>"
    "<mj-column><mj-text><p>x</p></mj-text></mj-column></mj-section></mj-body></mjml>",
}


@pytest.mark.parametrize(
    ("media", "kept"),
    [
        ('media="screen and (max-width: 600px)"', "@media screen and (max-width: 600px) {p { padding: 9px; }}"),
        ("class='a>b' MEDIA='print'", "@media print {p { padding: 9px; }}"),
        ("media=print", "@media print {p { padding: 9px; }}"),
        ('media="all"', ""),
        ('media="screen"', ""),
        ('type="text/css"', ""),
    ],
)
def test_a_style_for_some_screens_only_is_not_moved_into_elements(media: str, kept: str) -> None:
    page = render(html=f"<style {media}>p {{ padding: 9px; }}</style><p>x</p>")["html"]
    assert ("padding" in page.partition("<p")[2]) is (not kept)
    assert kept in page


def test_columns_of_mjml_for_thunderbird_stay_below_their_width() -> None:
    assert re.search(r"@media [^{]*min-width:480px\) ?{[^{}]*\.moz-text-html", render(mjml=MJML)["html"])


@pytest.mark.parametrize("kind", MAIL)
def test_rules_that_no_element_can_carry_stay_in_a_style(kind: str) -> None:
    page = (render(mjml=MAIL[kind]) if "mjml" in kind else render(html=MAIL[kind]))["html"]
    styles = " ".join(re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL))
    for kept in ("a:hover", "[data-ogsc] .dark", ".nobody", "a::before", "@media print"):
        assert kept in styles, kept
    assert re.search(r"<p style=\"[^\"]*margin: 1px", page)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"html": "<p>x</p>"}, ["/html"]),
        ({"html": LINK, "text": "x"}, ["/text"]),
        ({"html": LINK}, []),
        ({"html": LINK, "text": "{{ links.unsubscribe }}"}, []),
    ],
)
def test_marketing_must_show_its_way_out_in_html_and_text(content: dict[str, str], fields: list[str]) -> None:
    found = EMAIL.validate_content({"subject": "Hi", **content}, True)
    assert [(each.pointer, each.code) for each in found] == [(field, "no_unsubscribe") for field in fields]
    assert EMAIL.validate_content({"subject": "Hi", **content}, False) == []


def test_marketing_that_hides_its_way_out_is_not_rendered() -> None:
    with pytest.raises(RenderError) as caught:
        render(html="{% if customer.traits.vip %}" + LINK + "{% endif %}<p>x</p>", marketing=True)
    assert caught.value.code == "no_unsubscribe"


@pytest.mark.parametrize(
    ("mjml", "code"),
    [
        ("<mjml><mj-body>\n<mj-sction></mj-sction></mj-body></mjml>", "unknown_element"),
        ("<mjml><mj-body><mj-include path='/etc/passwd'/></mj-body></mjml>", "unknown_element"),
        ("<mjml><mj-body><mj-section></mj-body></mjml>", "bad_mjml"),
        ("<mjml><mj-body>" + "<div>" * 70 + "</div>" * 70 + "</mj-body></mjml>", "bad_mjml"),
        ("<mjml><mj-body>" + "<div>" * 3000 + "</mj-body></mjml>", "too_deep"),
    ],
)
def test_bad_mjml_is_found_when_saved(mjml: str, code: str) -> None:
    assert [each.code for each in EMAIL.validate_content({"subject": "Hi", "mjml": mjml}, False)] == [code]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"html": "<a href='/x'>a</a>"}, [4]),
        ({"html": "<p>x</p><a class=\"b\" HREF = '//e.org/x'>a</a><img alt='b'src=\"logo.png\">"}, [22, 58]),
        ({"html": "<a href='?a={{ event.data.a }}'>a</a>"}, [4]),
        ({"html": "<a href='www.e.org/{{ event.data.a }}'>a</a>"}, [4]),
        ({"html": "<img src='./a.png'><table background='../b.png'></table>"}, [6, 27]),
        ({"html": "<!-- <a href='/x'> --><a href='#a'>a</a><a href=''>b</a><a href='{{ event.data.a }}/x'>c</a>"}, []),
        ({"html": "<a href='https://e.org'>a</a><a href='mailto:a@e.org'>b</a><img src='cid:1'>"}, []),
        ({"html": "<a href='http{{ event.data.s }}://e.org/'>a</a><a title='href=/x' href='https://e.org/'>b</a>"}, []),
        ({"mjml": MJML.replace("</mj-column>", "<mj-image src='a.png' /></mj-column>")}, [257]),
        ({"mjml": MJML.replace("</mj-column>", "<mj-navbar base-url='https://e.org'><mj-navbar-link href='/a'>a"
                               "</mj-navbar-link></mj-navbar></mj-column>")}, []),
    ],
)  # fmt: skip
def test_a_relative_link_is_found_when_saved(body: dict[str, str], columns: list[int]) -> None:
    found = EMAIL.validate_content({"subject": "Hi", **body}, False)
    errors = [each for each in found if each.severity == "error"]
    assert [(each.code, each.column) for each in errors] == [("unsafe_link", column) for column in columns]


@pytest.mark.parametrize("loop", ["<div>", "<div <>", '<div">', "<!--<div>"])
def test_deep_html_is_refused_before_a_parser_suffers(loop: str) -> None:
    start = time.thread_time()
    with pytest.raises(RenderError):
        render(html="<style>p{}</style>{% for i in (1..9000) %}" + loop + "{% endfor %}<p>x</p>")
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Title</h1><p>One<br>two</p><ul><li>a</li><li>b</li></ul>", "Title\n\nOne\ntwo\n\n- a\n- b"),
        ('<a href="https://e.org/x">Look</a>', "Look (https://e.org/x)"),
        ('<a href="https://e.org/x">https://e.org/x</a>', "https://e.org/x"),
        ('<a href="https://e.org/x"><img src="cid:a" alt="Logo"></a>', "Logo (https://e.org/x)"),
        ("<style>p{}</style><script>x</script><p style='display:none'>no</p><p>a &amp; b</p>", "a & b"),
        ("", ""),
        *[(f"<{tag}>a</{tag}><{tag}>b</{tag}>", "a\n\nb") for tag in ("center", "nav", "form", "figure", "new-tag")],
        ("<dl><dt>a</dt><dd>b</dd></dl>c<details><summary>d</summary>e</details>", "a\n\nb\n\nc\n\nd\ne"),
        ("<pre>a  b\n  c</pre>d<span style='display:block'>e</span>f", "a  b\n  c\nd\ne\nf"),
        ("<ol><li>a</li><li value='7'>b</li><li>c</li></ol>", "1. a\n7. b\n8. c"),
        ("<ol start='3'><li>a<ol><li>b</li></ol></li></ol>", "3. a\n\n1. b"),
        ("<ul><li><p>a</p></li><li></li><li> <div>b</div> c</li></ul>d", "- a\n\n-\n- b\nc\nd"),
        ("<ul><li>a</li>b</ul>", "- a b"),
        ("<p>5.</p><p>-</p><p>a</p>", "5.\n\n-\n\na"),
        ("<a href='https://e.org/x'>a</a><a href='https://e.org/y'>b</a>.", "a (https://e.org/x) b (https://e.org/y)."),
        ("<img alt='a'><img alt='b'>, c", "a b, c"),
        ("<a href='mailto:a@e.org'>a@e.org</a> <a href='tel:+49'>+49</a>", "a@e.org +49"),
        ("<map><area alt='Shop' href='https://e.org/x'><area alt='b'></map>", "Shop (https://e.org/x)\n\nb"),
        ("<div hidden>no</div>a&shy;b&#8203;c&#xfeff;d&#x200d;e&nbsp;f", "abcd\u200de f"),
        ("<pre>&#1;  a</pre>", "\x01  a"),
        ("<p>a<b>b</b><font>c</font><wbr>d <q>e</q><mark>f</mark></p>", "abcd ef"),
    ],
)  # fmt: skip
def test_the_text_of_html(html: str, text: str) -> None:
    assert html_to_text(html) == text

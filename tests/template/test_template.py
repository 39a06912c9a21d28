"""Templates: what they render, what they refuse, and that no data makes them write markup or work for long."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from services.template import RenderError, TemplateSyntaxError, check_html, compile_template, link_scheme_allowed
from services.template.engine import create_environment

VALUES: dict[str, Any] = {
    "customer": {"id": "c-1", "traits": {"name": "<b>Ada", "none": None, "tags": ["a", "b"]}, "locale": "en"},
    "now": "2026-03-01T10:00:00Z",
}


@pytest.mark.parametrize(
    ("source", "html", "text"),
    [
        ("Hello {{ customer.traits.name }}", True, "Hello &lt;b&gt;Ada"),
        ("Hello {{ customer.traits.name }}", False, "Hello <b>Ada"),
        ("{{ customer.traits.nope | default: 'you' }}", False, "you"),
        ("{{ customer.traits.none | default: 'you' }}", False, "you"),
        ("{% if customer.traits.nope %}a{% else %}b{% endif %}", False, "b"),
        ("{% if customer.traits.nope == 'x' %}a{% else %}b{% endif %}", False, "b"),
        ("{% for t in customer.traits.tags %}{{ t | upcase }}{% endfor %}", False, "AB"),
        ("{{ now | date: '%d.%m.%Y' }}", False, "01.03.2026"),
        ("{% raw %}{{ x }}{% endraw %}", False, "{{ x }}"),
    ],
)
def test_values_are_put_in_place(source: str, html: bool, text: str) -> None:
    assert compile_template(source, html).render(VALUES) == text


def test_a_value_that_is_template_source_is_never_evaluated() -> None:
    template = compile_template("{{ customer.id }}", html=False)
    assert template.render({"customer": {"id": "{{ 7 | times: 7 }}"}}) == "{{ 7 | times: 7 }}"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("\n{{ customer.traits.nope }}", "undefined"),
        ("{{ customer.traits.none }}", "undefined"),
        ("{{ customer.traits.nope | upcase }}", "undefined"),
        ("{% for t in customer.traits.nope %}{% endfor %}", "undefined"),
        ("{% for i in (1..100000000) %}x{% endfor %}", "too_much_work"),
        ("{% for i in (1..5000) %}{% endfor %}" * 900, "too_much_work"),
        ("{% for i in (1..9999) %}" + "{% if true %}{% endif %}" * 900 + "{% endfor %}", "too_much_work"),
        ("{{ 'xxxxxxxxxx' " + "| replace: 'x', 'xxxxxxxxxxxxxxxxxxxx'" * 8 + "}}", "too_much_work"),
        ("{% assign x = 9 %}" + "{% assign x = x | times: x %}" * 40 + "{{ x }}", "too_much_work"),
        ("{% assign a = 'xx' %}" + "{% capture a %}{{a}}{{a}}{% endcapture %}" * 30, "too_much_work"),
        ("{{ 1 | round: 100000000 }}", "too_much_work"),
        ("{% if (1..1000000000) contains 'x' %}{% endif %}", "too_much_work"),
        ("{% for i in (1..100000000) reversed %}{% endfor %}", "too_much_work"),
        ("{% case 1 %}{% when (1..100000000) %}{% endcase %}", "too_much_work"),
        ("{% assign r = (1..10000) %}" + "{% if r contains 'x' %}{% endif %}" * 900, "too_much_work"),
        ("{{ 1 | divided_by: 0 }}", "wrong_type"),
        ("{{ 'soon' | date: '%Y' }}", "wrong_type"),
        ("{% for i in (1..2000) %}" + "x" * 1000 + "{% endfor %}", "too_large"),
    ],
)
def test_what_cannot_be_rendered_is_an_error_soon(source: str, code: str) -> None:
    template = compile_template(source, html=False)
    start = time.thread_time()
    with pytest.raises(RenderError) as caught:
        template.render(VALUES)
    assert caught.value.code == code
    assert time.thread_time() - start < 0.5  # generous: the budget is 0.05 s


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 9000000000000000000 | plus: 9000000000000000000 }}", "a whole number beyond 64 bits"),
        (
            "{{ 'xxxxxxxxxx' " + "| replace: 'x', 'xxxxxxxxxxxxxxxxxxxx'" * 8 + "}}",
            "a text of more than 262144 characters",
        ),
        ("{{ 1 | round: 21 }}", "the filter `round` takes at most 20 digits"),
        (
            "{% assign a = '" + "a," * 900 + "' %}{{ a | append: a | split: ',' | size }}",
            "a list of more than 1000 items",
        ),
    ],
)
def test_a_limit_names_what_is_beyond_it(source: str, words: str) -> None:
    with pytest.raises(RenderError) as caught:
        compile_template(source, html=False).render(VALUES)
    assert caught.value.detail.endswith(words)


def test_an_error_names_the_place_and_never_the_value() -> None:
    with pytest.raises(RenderError) as caught:
        compile_template("\n  {{ customer.traits.nope }}", html=False).render(VALUES)
    assert caught.value.detail.startswith("line 2, column 6: `customer.traits.nope` has no value")
    with pytest.raises(RenderError) as caught:
        compile_template("{{ customer.id | date: '%Y' }}", html=False).render({"customer": {"id": "ada@example.org"}})
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a\n {{ x", (2, 2)),
        ("{% if a %}", (1, 1)),
        ("{{ 'a' | nope }}", (1, 10)),
        ("{{ x | safe }}", (1, 8)),
        ("{{ x | base64_decode }}", (1, 8)),
        ("{% include 'x' %}", (1, 4)),
        ("{% render 'x' %}", (1, 4)),
        ("{% case x %}", (1, 1)),
        ("x" * 65537, (1, 1)),
        ("<a href={{ x }}>", (1, 9)),
        ("<a {{ x }}>", (1, 4)),
        ("<p>\n<{{ x }}>", (2, 2)),
        ('<p style="color:\n{{ x }}">', (2, 1)),
        ("<p title='{{ y }}'STYLE = '{{ x }}'>", (1, 28)),
        ("<Style>p{color:{{ x }}}</style>", (1, 16)),
        ("<mj-style>{{ x }}</mj-style>", (1, 11)),
        ('<mj-text color="{{ x }}">a</mj-text>', (1, 17)),
        ('<mj-section background-url="{{ x }}">', (1, 29)),
        ("{% if a %}" * 40 + "{% endif %}" * 40, None),
    ],
)
def test_a_bad_source_is_refused_with_its_place(source: str, place: tuple[int, int] | None) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        compile_template(source, html=True)
    assert place is None or (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    "source",
    [
        '<p title="{{ x }}" style="color:red">{{ x }}</p>',
        "<style>p{color:red}</style>{{ x }}",
        '<p style="{% if x %}color:red{% endif %}">',
        '<a href="https://a.example/?style={{ x }}" data-style="{{ x }}">{{ x }}</a>',
        '<mj-image src="{{ x }}" alt="{{ x }}" href="{{ x }}" css-class="{{ x }}" /><mj-text>{{ x }}</mj-text>',
    ],
)
def test_values_beside_styles_are_taken(source: str) -> None:
    compile_template(source, html=True)


def test_it_says_which_values_it_reads() -> None:
    source = "{{ customer.traits.name }}{% assign a = now %}{{ a }}{% if event.data.x %}{% endif %}"
    assert compile_template(source, html=False).variables() == {"customer.traits.name", "now", "event.data.x"}


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("https://example.org", True),
        ("mailto:a@example.org", True),
        ("/path", True),
        ("#top", True),
        ("cid:logo", True),
        ("data:image/png;base64,AAAA", True),
        ("javascript:alert(1)", False),
        (" JaVa\tScRiPt:alert(1)", False),
        ("\x01javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
    ],
)
def test_links_have_an_allowed_scheme(link: str, good: bool) -> None:
    assert link_scheme_allowed(link) is good


@pytest.mark.parametrize(
    "html",
    [
        "<script>x</script>",
        "<p onclick='x'>",
        "<iframe></iframe>",
        "<a href='java&#115;cript:x'>",
        "<img src='file:///x'>",
    ]
    + ["<p style='background:url(javascript:x)'>", "<base href='https://example.org'>", "<form action='vbscript:x'>"],
)
def test_html_that_could_run_code_is_refused(html: str) -> None:
    with pytest.raises(RenderError):
        check_html(html)


FILTERS = sorted(create_environment(html=True).filters)
NASTY = st.text(alphabet="<>\"'&;=/ abonclick!-{}%\r\n", max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", '" onclick="x', "&lt;b&gt;", "&amp;lt;b>", "]]><b>", "%3Cb%3E", "<!--<b>-->"]
)


@settings(max_examples=300)
@given(NASTY, st.lists(st.sampled_from(FILTERS), max_size=3))
def test_no_value_ever_writes_a_tag_or_an_attribute(value: str, filters: list[str]) -> None:
    chain = "".join(f" | {name}" for name in filters)
    source = f'<p title="{{{{ x{chain} }}}}">{{{{ x{chain} }}}}</p>'
    try:
        html = compile_template(source, html=True).render({"x": value})
    except (RenderError, TemplateSyntaxError):
        return
    body = LexborHTMLParser(html).body
    assert body is not None
    tags = [(node.tag, sorted(node.attributes)) for node in body.css("*") if node.tag != "br"]
    assert tags == [("body", []), ("p", ["title"])] or tags == [("p", ["title"])]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILTERS), st.sampled_from(["<", "a ", "&", "%", "<!--", "\n", ",", "é", "<a"]))
def test_every_filter_is_quick_on_large_values(name: str, piece: str) -> None:
    value = piece * (200_000 // len(piece))
    try:
        template = compile_template(f"{{{{ x | {name} }}}}", html=True)
        start = time.thread_time()
        template.render({"x": value})
    except (RenderError, TemplateSyntaxError):
        start = time.thread_time()
    assert time.thread_time() - start < 1.0

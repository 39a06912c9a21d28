"""Translated templates: what they render is what python-liquid renders, and they never render what it refuses."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.campaign import Campaign
from schemas.documents import load_document, validate_document
from services.template import RenderError, Template, TemplateSyntaxError, compile_template
from services.template.runtime import FALLBACK_ERRORS, MAX_ITERATIONS, MAX_TEXT
from services.template.translate import MAX_ALTERNATIVES, MAX_DEPTH, MAX_NODES
from tests.bench import load as bench
from tests.support.template_strategies import CONTEXTS, TEMPLATES

VALUES: dict[str, Any] = {
    "x": {"a": "<Ada>", "n": 3, "yes": True, "none": None, "text": "a b", "list": []},
    "goods": [{"a": 1, "b": "é"}, {"a": 2, "b": None}, {"a": 3, "b": "z"}],
    "now": "2026-03-01T10:00:00Z",
}


def outcome(render: Callable[[dict[str, Any]], str], context: dict[str, Any]) -> tuple[str, ...]:
    try:
        return ("text", render(context))
    except RenderError as error:
        return (error.code, error.detail)


def answer(template: Template, context: Mapping[str, Any]) -> str | None:
    """The translation's own text. None: it doubts, again and again, so not because the machine was busy."""
    assert template.translation is not None
    for _ in range(10):
        try:
            return template.translation(context)
        except FALLBACK_ERRORS:
            continue
    return None


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEMPLATES, CONTEXTS, st.booleans())
def test_both_ways_give_the_same_text_or_the_same_error(source: str, context: dict[str, Any], html: bool) -> None:
    try:
        template = compile_template(source, html)
    except TemplateSyntaxError:
        event("not a template")
        return
    expected = outcome(template.render_with_engine, context)
    assert outcome(template.render, context) == expected
    found = answer(template, context) if template.translation is not None else None
    event(f"{expected[0]}, {'answered' if found is not None else 'doubted' if template.translation else 'left'}")
    assert found is None or ("text", found) == expected


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        "{{ x.a }} {{ x.n }} {{ x.yes }} {{ goods.size }} {{ goods[1].a }} {{ goods.first.b }} {{ nil }}{{ 'q' }}",
        "{{ x.nope | default: 'you' }} {{ x.none | default: x.a | upcase }} {{ x.no | default: 1, allow_false: true }}",
        "{% if x.nope %}a{% elsif x.n > 2 and x.a contains 'Ad' %}b{% else %}c{% endif %}",
        "{% unless x.none == nil %}a{% elsif x.n >= 3 or x.yes %}b{% endunless %}{% if x.n != 3 %}c{% endif %}",
        "{% if x.list == empty %}a{% endif %}{% if x.text < 'b' %}b{% endif %}{% if x.n <= 3 %}c{% endif %}",
        "{% for g in goods %}{{ g.a }}{{ g.b | default: '-' }}{% unless forloop.last %}, {% endunless %}{% endfor %}",
        "{% for g in goods limit: 2 offset: 1 reversed %}{{ g.a }}{{ forloop.index }}/{{ forloop.length }}{% endfor %}",
        "{% for g in goods limit: 0 %}{{ g.a }}{% endfor %}{% for g in goods offset: -1 %}{{ g.a }}{% endfor %}",
        "{% for w in x.text %}{{ w }}{% endfor %}{% for w in x.n %}{% else %}a{% endfor %}",
        "{% for w in x %}{{ w[0] }}{% endfor %}",
        "{% for g in x.list %}a{% else %}b{% endfor %}{% for i in (1..x.n) %}{{ i }}{% endfor %}",
        "{% for g in goods %}{% if g.a == 2 %}{% continue %}{% endif %}{{ g.a }}{% break %}{% endfor %}",
        "{% for g in goods %}{% for h in goods %}{{ forloop.rindex0 }}{% endfor %}{{ forloop.first }}{% endfor %}",
        "{% assign a = x.a | append: '!' %}{{ a }}{% assign a = a | size %}{{ a }}",
        "{% assign n = x.none %}{% if n %}b{% endif %}",
        "{% capture c %}<b>{{ x.a }}</b>{% endcapture %}{{ c }}{{ c | size }}",
        "{% case x.n %}{% when 1, 2 %}a{% when 3 %}b{% else %}c{% endcase %}",
        "{% case x.a %}{% when 1 %}{% else %}d{% endcase %}",
        "a{% comment %}b{% endcomment %}{% # c %}{% raw %}{{ d }}{% endraw %}{% echo x.a %}\r\ne\r",
        "a {%- if x.yes -%} b {%- endif -%} c {% if x.yes %} \n {% endif %} d {% if x.yes %} {% else %}-{% endif %} e",
        "{% for g in goods %} {% assign a = g.a %} {% endfor %}{{ a }}{{ now | date: '%d.%m.%Y' }}",
    ],
)
def test_what_templates_usually_hold_is_translated(source: str, html: bool) -> None:
    template = compile_template(source, html)
    assert answer(template, VALUES) == template.render_with_engine(VALUES)


@pytest.mark.parametrize(
    "source",
    [
        "{% cycle 'a', 'b' %}",
        "{% tablerow g in goods %}{% endtablerow %}",
        "{% for g in goods offset: continue %}{% endfor %}",
        "{% for g in goods %}{{ forloop.parentloop }}{% endfor %}",
        "{% for forloop in goods %}{% endfor %}",
        "{{ goods[x.n] }}",
        "{{ partial }}",
        "{% break %}",
        "{% for g in goods %}{% capture a %}{% break %}{% endcapture %}{% endfor %}",
        "{{ (1..3) }}",
        "{{ 'a'" + " | upcase" * 20 + "}}",
        "{% if x" + " or x" * 20 + " %}{% endif %}",
        "{% if x %}" + "{% elsif x %}" * (MAX_ALTERNATIVES + 1) + "{% endif %}",
        "{% if x %}" * (MAX_DEPTH + 1) + "{% endif %}" * (MAX_DEPTH + 1),
        "{{ x.a }}" * (MAX_NODES + 1),
    ],
)
def test_what_is_rare_or_huge_is_left_to_python_liquid(source: str) -> None:
    assert compile_template(source, html=False).translation is None


@pytest.mark.parametrize(
    ("source", "context"),
    [
        ("{{ x.nope }}", VALUES),
        ("{{ x.none }}", VALUES),
        ("{{ y }}", VALUES),
        ("{{ x.none | upcase }}{{ x.nope | default: x.none }}", VALUES),
        ("{{ goods[1].b | upcase }}", VALUES),
        ("{% case x.n %}{% when 3, 3 %}a{% endcase %}", VALUES),
        ("{{ x }}", {"x": "\ud800"}),
        ("{{ x }}", {"x": "a\r\nb"}),
        ("{{ x }}", {"x": "a" * (MAX_TEXT + 1)}),
        ("{{ x }}" * 900, {"x": "a" * 1_000_000}),
        ("{% for i in x %}{% endfor %}", {"x": [0] * (MAX_ITERATIONS + 1)}),
        ("{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}", {"x": [0] * 30}),
        ("{% for i in x %}" + "{% if i %}{% endif %}" * 400 + "{% endfor %}", {"x": [0] * 200}),
        ("{% for i in x %}" + "{% comment %}{% endcomment %}" * 900 + "{% endfor %}", {"x": [0] * 100}),
        ("{{ x" + " | strip_newlines" * 12 + " | size }}", {"x": "é" * 250_000}),
        ("{% for i in x limit: -1 %}{% endfor %}", {"x": [1]}),
        ("{% assign a = x | replace: 'a', 'bbbb' %}{% assign b = x %}{% assign c = x %}", {"x": "☃" * 260_000}),
        ("{% assign a = x %}{% assign b = x %}", {"x": ["a"] * 100_000}),
        (
            "{{ x" + " | replace: 'a', 'b' | replace: 'b', 'a'" * 8 + " }}" + "{{ x | strip_html }}" * 500,
            {"x": "a " * 60_000},
        ),
        ("{% if x contains 'b' %}{% endif %}" * 330, {"x": "a" * 5_000_000}),
    ],
)
def test_a_translation_doubts_soon_where_python_liquid_may_refuse(source: str, context: dict[str, Any]) -> None:
    template = compile_template(source, html=False)
    assert template.translation is not None
    began = time.thread_time()
    with pytest.raises(FALLBACK_ERRORS):
        template.translation(context)
    assert time.thread_time() - began < 0.1  # generous: the bound is 0.005 s


def test_no_word_of_a_template_becomes_code() -> None:
    word = '__import__(\'os\')\n\\""" + {c0}'
    source = f"{word}{{{{ x['{word[:10]}'] | default: '{word[:10]}' }}}}{{% assign render = 1 %}}{{{{ eval }}}}"
    translation = compile_template(source, html=False).translation
    assert isinstance(translation, FunctionType)
    words = {each for each in translation.__code__.co_consts if not isinstance(each, int | float | None)}
    assert words == set()
    fixed = {
        "assign",
        "clock",
        "doubt",
        "escape",
        "find",
        "in_time",
        "joined",
        "there",
        "plain",
        "root",
        "__class__",
        "str",
    }
    assert {each for each in translation.__code__.co_names if not re.fullmatch(r"c\d+", each)} <= fixed
    assert set(translation.__code__.co_varnames) <= {"context", "own", "parts", "left", "stop", "v"}


EXAMPLES = Path(__file__).parents[2] / "examples/campaigns"
CAMPAIGNS = [load_document(path.read_bytes()) for path in sorted(EXAMPLES.iterdir())] + [bench.campaign(1)]


@pytest.mark.parametrize("document", CAMPAIGNS, ids=lambda document: document["key"])
def test_every_template_of_the_examples_and_the_standard_load_is_translated(document: dict[str, Any]) -> None:
    data = {"what": "Rain.", "product": "Figs", "order": "o-1", "carrier": "Post", "total": 12.5, "express": False}
    context = {
        "customer": {"id": "c-1", "traits": {"name": "Ada"}, "locale": "en"},
        "event": {"type": "a", "time": "2026-03-01T10:00:00Z", "data": data | {"goods": [{"count": 1, "name": "fig"}]}},
        "links": {"unsubscribe": "https://example.org/u", "preferences": "https://example.org/p"},
        "now": "2026-03-01T10:00:00Z",
    }
    for locales in validate_document(Campaign, document).content.values():
        for fields in locales.values():
            for field, source in fields.items():
                template = compile_template(source, field in ("html", "mjml"))
                assert answer(template, context) == template.render_with_engine(context)

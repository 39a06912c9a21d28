"""What takes a parser long is refused before it is parsed, and everything that people write is let through."""

import pytest

from services.template import TemplateSyntaxError, compile_template
from services.template.source_scan import MAX_MARKUP_LENGTH, MAX_MARKUPS, blank_markups
from tests.support.processor_time import processor_seconds

DEADLINE = 0.1
"""Seconds. Each takes less than half of it on a machine with nothing else to do; tests run two at a time."""

HOSTILE = {
    "openings": "{{" * 8000,
    "openings of tags": "{%" * 8000,
    "openings in comments": "{% comment %}{{" * 1500,
    "openings in raw": "{% raw %}" + "{{" * 8000 + "{% endraw %}",
    "raw without end": "{% raw %}{{" * 900,
    "a long path": "{{ event.data" + ".a" * 4000 + " }}",
    "a path of a thousand": "{{ event.data" + ".a" * 980 + " }}",
    "places in places": "{{ event.data" + "[event" * 2000 + "]" * 2000 + " }}",
    "places in places, again and again": ("{{ a" + "[a" * 300 + "]" * 300 + " }}") * 30,
    "comparisons": ("{% if " + " or ".join(["a != b"] * 200) + " %}x{% endif %}") * 34,
    "values of a cycle": ("{% cycle " + ", ".join(["'a'"] * 380) + " %}") * 30,
    "filters in every output": ("{{ a" + "|size" * 300 + " }}") * 38,
    "parentheses": "{{ " + "(" * 1990 + " }}",
    "blanks": "{{" + " " * 60_000 + "}}",
    "fewer blanks": "{{" + " " * 1900 + "}}",
    "blanks without end": "{{" + " " * 1900,
    "tabs": "{%" + "\t" * 1900 + "%}",
    "quotes": "{{ '" * 900,
    "braces": "{" * 60_000,
    "ends": "%}" * 30_000,
    "dashes": "{%-" * 900,
    "conditions": "{% if a" + " and a" * 300 + " %}x{% endif %}",
    "blocks": "{% if a %}" * 900,
    "loops": "{% for i in (1..10) %}" * 500 + "{% endfor %}" * 500,
    "filters": "{{ 'a'" + " | upcase" * 200 + "}}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("html", [False, True])
def test_no_source_takes_long(source: str, html: bool) -> None:
    assert processor_seconds(lambda: compile_template(source, html), TemplateSyntaxError) < DEADLINE


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Hello\n {{ customer.id", "line 2, column 2: `{{` is never closed"),
        ("{% if a %}x", "line 1, column 1: "),
        ("{% raw %}x", "line 1, column 1: the block `raw` is never closed"),
        ("{{ " + "a" * MAX_MARKUP_LENGTH + " }}", f"`{{{{` is not closed within {MAX_MARKUP_LENGTH} characters"),
        ("{{ a }}" * (MAX_MARKUPS + 1), f"a template has at most {MAX_MARKUPS} outputs and tags"),
        ("{{" + " " * 300 + "a }}", "more than 200 blanks in a row"),
        ("{{ a" + "[a" * 9 + "]" * 9 + " }}", "brackets in more than 8 others"),
        (("{% cycle " + ", ".join(["'a'"] * 350) + " %}") * 30, "a template have at most 10000 words"),
    ],
)
def test_a_refusal_names_the_place_and_the_limit(source: str, words: str) -> None:
    with pytest.raises(TemplateSyntaxError) as refused:
        compile_template(source, html=False)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "source",
    [
        "{% raw %}{{ not closed {% endraw %} {{ customer.id }}",
        "{%- comment -%} {{ {% if %} {%- endcomment -%}x",
        "{{ '{{' }}",
        "a { b } c {{ customer.id }}",
        "{{\n  customer.id\n    | default: 'x'\n}}",
        "{{ '" + "long text " * 150 + "' }}",
    ],
)
def test_what_people_write_is_let_through(source: str) -> None:
    compile_template(source, html=False)


def test_outputs_and_tags_are_blanked_in_place() -> None:
    source = "<p>{{ a\n }}</p>{% if a < b %}<b>{% endif %}{% raw %}<i> {% endraw %}"
    blanked = blank_markups(source)
    assert len(blanked) == len(source)
    assert blanked.split() == ["<p>", "</p>", "<b>", "<i>", "{%", "endraw", "%}"]
    assert blanked.count("\n") == 1

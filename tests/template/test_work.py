"""No rendering takes long, whatever an event holds and whichever filter it goes through."""

from typing import Any

import pytest

from services.template import TIME_NAME, RenderError, RenderingTime, compile_template, create_environment
from tests.support.processor_time import processor_seconds

DEADLINE = 0.1
"""Seconds. A message may take 0.03 s; what is under way when they are over ends soon."""

DATA: dict[str, Any] = {
    "objects": [{"a": number, "b": ["x"] * 10} for number in range(1000)],
    "numbers": list(range(1000)),
    "many": list(range(49_000)),
    "words": "a " * 100_000,
    "text": "x" * 250_000,
    "pattern": "%c" * 50_000,
    "needle": "x" * 40 + "y" + "x" * 40,
    "blanks": " " * 250_000,
    "nested": [[[number] * 30] * 30 for number in range(100)],
}
FILTERS = sorted(create_environment(html=True).filters)


def seconds(source: str) -> float:
    template = compile_template(source, html=True)
    return processor_seconds(lambda: template.render({"event": {"data": DATA}}), RenderError)


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_takes_long(name: str) -> None:
    late = {}
    for value in DATA:
        for argument in ("", ": 'a'", ": event.data.objects", ": event.data.text"):
            source = f"{{% assign found = event.data.{value} | {name}{argument} %}}x"
            if (took := seconds(source)) > DEADLINE:
                late[source] = took
    assert late == {}


ASSIGNED = "".join(f"{{% assign {name[0]} = event.data.{name} %}}" for name in ("text", "needle", "many", "blanks"))
COMPARISONS = ("t contains n", "m contains n", "t contains m", "m != m", "t < t", "b != blank")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 0 | date: event.data.pattern }}",
        "{{ event.data.many }}",
        "{% if event.data.many contains 'x' %}x{% endif %}" * 300,
        "{% for i in event.data.objects %}{% for j in event.data.objects %}x{% endfor %}{% endfor %}",
        "{% for i in event.data.objects %}{% if event.data.nested == event.data.nested %}x{% endif %}{% endfor %}",
        "{% tablerow i in (1..9000) cols: 1 %}{{ event.data.text }}{% endtablerow %}",
        *(f"{ASSIGNED}{('{% if ' + ' or '.join([test] * 100) + ' %}x{% endif %}') * 15}" for test in COMPARISONS),
        "{% case event.data.many %}"
        + ("{% when " + ", ".join(["event.data.many"] * 60) + " %}x") * 50
        + "{% endcase %}",
    ],
)
def test_no_template_takes_long(source: str) -> None:
    assert seconds(source) < DEADLINE


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 0 | date: event.data.pattern }}", "a pattern of more than 200 characters"),
        ("{{ event.data.nested | join: ' ' }}", "a list of more than 10000 elements at all levels"),
        ("{% if event.data.many == event.data.many %}x{% endif %}", "a list of more than 1000 items"),
        ("{% if event.data.text contains event.data.many %}x{% endif %}", "a text cannot contain a list"),
        ("{{ event.data.numbers | map: event.data.numbers }}", "needs a text or a number, not a list"),
    ],
)
def test_what_is_too_much_is_named(source: str, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        compile_template(source, html=True).render({"event": {"data": DATA}})


def test_a_long_list_is_compared_with_what_needs_no_look_at_its_items() -> None:
    template = compile_template("{% if event.data.many != empty and event.data.many != 1 %}x{% endif %}", html=True)
    assert template.render({"event": {"data": DATA}}) == "x"


def test_the_templates_of_one_message_share_their_time() -> None:
    source = "{% for i in (1..9000) %}{% cycle 'a', 'b' %}{% assign x = i | modulo: 7 %}{% endfor %}"
    template = compile_template(source, html=True)
    time = RenderingTime()

    def render_fields() -> None:
        for _ in range(10):
            with pytest.raises(RenderError, match=r"more than 0\.03 s"):
                template.render({"event": {"data": DATA}, TIME_NAME: time})

    assert processor_seconds(render_fields) < DEADLINE

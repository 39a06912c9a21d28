"""No rendering takes long, whatever an event holds and whichever filter it goes through."""

from typing import Any

import pytest

from services.template import RenderError, compile_template, create_environment
from tests.support.processor_time import processor_seconds

DEADLINE = 0.15
"""Seconds. A rendering may take 0.05 s; what is under way when they are over ends soon."""

DATA: dict[str, Any] = {
    "objects": [{"a": number, "b": ["x"] * 10} for number in range(1000)],
    "numbers": list(range(1000)),
    "many": list(range(49_000)),
    "words": "a " * 100_000,
    "text": "x" * 250_000,
    "pattern": "%c" * 50_000,
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


@pytest.mark.parametrize(
    "source",
    [
        "{{ 0 | date: event.data.pattern }}",
        "{{ event.data.many }}",
        "{% if event.data.many contains 'x' %}x{% endif %}" * 300,
        "{% for i in event.data.objects %}{% for j in event.data.objects %}x{% endfor %}{% endfor %}",
        "{% for i in event.data.objects %}{% if event.data.nested == event.data.nested %}x{% endif %}{% endfor %}",
        "{% tablerow i in (1..9000) cols: 1 %}{{ event.data.text }}{% endtablerow %}",
    ],
)
def test_no_template_takes_long(source: str) -> None:
    assert seconds(source) < DEADLINE


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 0 | date: event.data.pattern }}", "a pattern of more than 200 characters"),
        ("{{ event.data.nested | join: ' ' }}", "a list of more than 10000 elements at all levels"),
        ("{{ event.data.numbers | map: event.data.numbers }}", "needs a text or a number, not a list"),
    ],
)
def test_what_is_too_much_is_named(source: str, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        compile_template(source, html=True).render({"event": {"data": DATA}})

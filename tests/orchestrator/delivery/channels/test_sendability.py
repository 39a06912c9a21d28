"""Saved means sendable: what fails for every value is refused, what fails for some values is a warning."""

import re
from typing import Any

import pytest

from schemas.finding import Finding, Severity
from services.orchestrator.delivery.channels import sendability
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID

LONG = {"e.": "event.data.", "t.": "customer.traits."}
PAGE = "<p>x</p>"
UNSUBSCRIBE = "<a href='{{ links.unsubscribe }}'>Stop</a>"
CONTROL = "control_character"
Case = tuple[str, dict[str, str], str, str, tuple[int, int]]


def check(channel: str, content: dict[str, str], marketing: bool = False) -> list[Finding]:
    """Checks content whose variables `e.a` and `t.a` stand for `event.data.a` and `customer.traits.a`."""
    whole = {field: with_long_names(text) for field, text in content.items()}
    return CHANNELS_BY_ID[channel].validate_content(whole, marketing)


def with_long_names(text: str) -> str:
    return re.sub(r"\b[et]\.(?=[a-z])", lambda found: LONG[found.group()], text)


def errors(findings: list[Finding]) -> list[tuple[Any, ...]]:
    return [(each.pointer, each.code, (each.line, each.column)) for each in findings if each.severity is Severity.ERROR]


def mail(subject: str = "Hi", html: str = PAGE, **more: str) -> dict[str, str]:
    return {"subject": subject, "html": html, **more}


def push(title: str = "Hi", body: str = "x", **more: str) -> dict[str, str]:
    return {"title": title, "body": body, **more}


NEVER: list[Case] = [
    ("email", mail("Hi\n{{ e.name }}"), "/subject", CONTROL, (1, 3)),
    ("email", mail("{{ e.name }}\r\nBcc: x"), "/subject", CONTROL, (1, 22)),
    ("email", mail("{% if e.a %}one\ntwo{% else %}{{ e.b }}{% endif %}"), "/subject", CONTROL, (1, 25)),
    ("email", mail("{% unless e.a %}x{% else %}one\ntwo{% endunless %}"), "/subject", CONTROL, (1, 40)),
    ("email", mail("{% case e.a %}{% when 1 %}a{% when 2 %}one\ntwo{% endcase %}b"), "/subject", CONTROL, (1, 52)),
    ("email", mail("{% for i in e.l %}{{ i }}\n,{% endfor %}x{{ e.a }}"), "/subject", CONTROL, (1, 35)),
    ("email", mail("{% capture c %}a\nb{% endcapture %}{{ c }}{{ e.a }}"), "/subject", CONTROL, (2, 21)),
    ("email", mail("{{ 'now' | date: '%Y' }} {{ e.name }}"), "/subject", "wrong_type", (1, 12)),
    ("email", mail("{{ e.name }}" + "x" * 256), "/subject", "too_long", (1, 277)),
    ("email", mail(preheader="a\nb{{ e.name }}"), "/preheader", CONTROL, (1, 2)),
    ("email", mail(html="<a href='myapp://{{ e.id }}'>x</a>"), "/html", "unsafe_link", (1, 10)),
    ("email", mail(html="<p>{{ e.a }}</p><script>x</script>"), "/html", "unsafe_html", (1, 26)),
    ("email", mail(html="<p onclick='x'>{{ e.a }}</p>"), "/html", "unsafe_html", (1, 4)),
    ("email", mail(html="<p>{{ e.a }}</p><form action='https://x.org'>x</form>"), "/html", "unsafe_html", (1, 26)),
    ("email", mail(html="<meta http-equiv='refresh' content='0'><p>{{ e.a }}</p>"), "/html", "unsafe_html", (1, 1)),
    ("email", mail(text="{% comment %}{{ e.a }}{% endcomment %}"), "/text", "empty", (1, 1)),
    ("sms", {"text": "x" * 1700 + "{{ e.x }}"}, "/text", "too_long", (1, 1601)),
    ("sms", {"text": "{% if e.a %}" + "x" * 1700 + "{% else %}b{% endif %}"}, "/text", "too_long", (1, 1622)),
    ("sms", {"text": "☃" * 671 + "{{ e.x }}"}, "/text", "too_long", (1, 671)),
    ("sms", {"text": "{{ event.data }}"}, "/text", "wrong_type", (1, 4)),
    ("sms", {"text": "{{ customer.traits | append: 'x' }}"}, "/text", "wrong_type", (1, 22)),
    ("sms", {"text": "{% assign c = customer %}{{ c }}"}, "/text", "wrong_type", (1, 29)),
    ("sms", {"text": "{{ e.x | split: ',' }}"}, "/text", "wrong_type", (1, 4)),
    ("sms", {"text": "a{% if e.x > 1 %}{{ e.y | upcase: 1 }}{% endif %}"}, "/text", "wrong_type", (1, 45)),
    ("sms", {"text": "{{ e.x | divided_by: 0 }}"}, "/text", "wrong_type", (1, 19)),
    ("sms", {"text": "{{ e.x }}{% if 'a' > 1 %}{% endif %}"}, "/text", "wrong_type", (1, 29)),
    ("sms", {"text": "{% for i in (1..20000) %}{{ e.x }}{% endfor %}"}, "/text", "too_much_work", (1, 13)),
    ("sms", {"text": "{% assign l = links %}{{ l.unsubscibe }}{{ e.x }}"}, "/text", "unknown_name", (1, 26)),
    ("sms", {"text": "{% if customer.zone %}a{% endif %}b"}, "/text", "unknown_name", (1, 7)),
    ("sms", {"text": "{{ links['unsubscibe'] }}"}, "/text", "unknown_name", (1, 4)),
    ("sms", {"text": "{{ customer.id.name }}"}, "/text", "unknown_name", (1, 4)),
    ("sms", {"text": "{{ event.type.kind }}{{ e.x }}"}, "/text", "unknown_name", (1, 4)),
    ("sms", {"text": "{{ customer.traits[0] }}"}, "/text", "unknown_name", (1, 4)),
    ("sms", {"text": "{{ customer.locale | date: '%Y' }}"}, "/text", "wrong_type", (1, 22)),
    ("sms", {"text": "{{ event.type | plus: 1 }}"}, "/text", "wrong_type", (1, 17)),
    ("sms", {"text": "{{ e.x | default: 'a', colour: true }}"}, "/text", "wrong_type", (1, 19)),
    ("push", push("y" * 200 + "{{ e.x }}"), "/title", "too_long", (1, 101)),
    ("push", push("a\n{{ e.x }}"), "/title", CONTROL, (1, 2)),
    ("push", push(link="file://{{ e.x }}"), "/link", "unsafe_link", (1, 1)),
    ("push", push(link="/orders/{{ e.x }}"), "/link", "unsafe_link", (1, 1)),
    ("push", push(link="http://example.org/{{ e.x }}"), "/link", "unsafe_link", (1, 1)),
    ("push", push(link="{% if e.a %}https://a.org{% else %}/a/{{ e.x }}{% endif %}"), "/link", "unsafe_link", (1, 45)),
    ("in_app", push("y" * 101 + "{{ e.x }}"), "/title", "too_long", (1, 101)),
    ("in_app", push(link="app:{{ e.x }}"), "/link", "unsafe_link", (1, 1)),
    ("in_app", push(body="{{ event }}"), "/body", "wrong_type", (1, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("channel", "content", "pointer", "code", "place"), NEVER)
def test_what_fails_for_every_value_is_refused_in_its_field(
    channel: str, content: dict[str, str], pointer: str, code: str, place: tuple[int, int]
) -> None:
    assert errors(check(channel, content)) == [(pointer, code, place)]


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("email", mail("{% if t.name %}Hi{% endif %}{% unless t.name %}Yo{% endunless %}")),
        ("email", mail("\n  {% if e.a %}\n Hi {{ e.a }}\n{% else %}\n Yo\n{% endif %}\n")),
        ("email", mail("{% if e.a == 1 %}a{% endif %}{% if e.a != 1 %}b{% endif %}")),
        ("email", mail("{{ e.total | times: 1.19 | round: 2 }} {{ e.at | date: '%d.%m.' }}")),
        ("email", mail(html="<a href='{{ e.scheme }}://{{ e.host }}'>x</a>")),
        (
            "email",
            mail(html="{% for i in e.items %}<p>{{ i.name }} {{ i.price | times: 2 }}</p>{% endfor %}x"),
        ),
        ("sms", {"text": "{{ e.items | map: 'name' | join: ', ' }} {{ e.items.size }}"}),
        ("sms", {"text": "{{ e.items | map: 'name' | join: ', ' }}"}),
        ("sms", {"text": "{{ e.items | where: 'kind', 'a' | map: 'name' | first }}"}),
        ("sms", {"text": "{{ e.items | sum: 'price' | plus: 1 }}{% assign i = e.items | find: 'a', 1 %}{{ i.name }}"}),
        ("sms", {"text": "{{ customer.id | plus: 1 }}{{ customer.id.size }}"}),
        ("sms", {"text": "{{ customer[e.field] }}"}),
        ("sms", {"text": "{% assign n = e.a | split: ' ' | first %}{{ n }}{{ e.l[0].b }}"}),
        ("sms", {"text": "{% for p in e.o %}{{ p[0] }}: {{ p[1] }}{% endfor %}x{{ t.size }}"}),
        ("sms", {"text": "{% for i in (1..e.n) %}{{ i }}{% endfor %}{{ e.l | where: 'a' | size }}"}),
        ("sms", {"text": "{% if e.kind == 'a' %}one{% elsif e.kind == 'b' %}two{% endif %}"}),
        ("push", push(link="{{ e.url }}")),
        ("push", push(link="myapp://{{ e.x }}")),
        ("push", push(data='{"order": "{{ e.order }}"}', ttl="4h", priority="high", collapse_key="o-{{ e.order }}")),
        ("push", push(link="https://{{ e.host }}/{{ e.path }}")),
        ("push", push(link="{{ e.base }}/{{ e.path }}")),
        ("in_app", push(link="{{ e.url }}")),
    ],
)
def test_what_some_values_can_send_is_not_refused(channel: str, content: dict[str, str]) -> None:
    assert errors(check(channel, content)) == []


@pytest.mark.parametrize(
    ("channel", "content", "pointer", "variable", "words"),
    [
        ("email", mail("Hi {{ e.name }}"), "/subject", "e.name", ["missing", "line break", "too long", "an object"]),
        ("email", mail("Hi {{ e.x | default: 'x' | strip_newlines | truncate: 9 }}"), "/subject", "e.x", ["a list"]),
        ("email", mail(html="<a href='{{ e.url }}'>x</a>"), "/html", "e.url", ["missing", "not allowed"]),
        ("push", push(link="{{ e.url }}"), "/link", "e.url", ["makes a link that is not allowed"]),
        ("sms", {"text": "{% if e.days > 5 %}a{% endif %}b"}, "/text", "e.days", ["is text"]),
        ("sms", {"text": "{{ e.total | times: 2 }}"}, "/text", "e.total", ["missing", "is text"]),
        ("sms", {"text": "{{ customer.locale }}"}, "/text", "customer.locale", ["is missing"]),
        ("sms", {"text": "{{ customer.id | plus: 1 }}"}, "/text", "customer.id", ["is text"]),
        ("sms", {"text": "{{ 5 | divided_by: e.n }}"}, "/text", "e.n", ["is text or is zero"]),
        ("sms", {"text": "{% for i in (1..e.n) %}a{% endfor %}b"}, "/text", "e.n", ["missing", "does not fit"]),
        ("push", push("{% for i in e.l %}" + "a" * 40 + "{% endfor %}b"), "/title", "e.l", ["has many items"]),
        ("sms", {"text": "{% if e.a %}x{{ e.b }}{% endif %}"}, "/text", "e.a", ["is empty, when"]),
        ("sms", {"text": "{% for i in e.l %}{{ i.name }}{% endfor %}x"}, "/text", "e.l[0].name", ["missing"]),
        ("sms", {"text": "{% assign n = e.name %}a{{ n }}"}, "/text", "e.name", ["missing"]),
    ],
)  # fmt: skip
def test_what_fails_for_some_values_is_a_warning_that_names_the_variable(
    channel: str, content: dict[str, str], pointer: str, variable: str, words: list[str]
) -> None:
    findings, variable = check(channel, content), with_long_names(variable)
    assert errors(findings) == []
    [found] = [each for each in findings if each.variable == variable]
    assert found.pointer == pointer and found.line == 1
    assert all(word in found.detail for word in words), found.detail
    assert variable in found.detail


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("sms", {"text": "{% if e.a %}{{ e.a | upcase }}{% else %}b{% endif %}"}),
        ("sms", {"text": "x{{ e.a | default: 'b' | truncate: 20 }}"}),
    ],
)
def test_a_guarded_variable_is_not_said_to_be_missing(channel: str, content: dict[str, str]) -> None:
    assert not any("missing" in each.detail for each in check(channel, content))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ e.x | divided_by: 0 }}", "the filter `divided_by` cannot divide by zero"),
        ("{{ e.x | modulo: 0 }}", "the filter `modulo` cannot divide by zero"),
        ("{{ e.x | round: 30 }}", "the filter `round` takes at most 20 digits"),
        ("{{ e.x | plus: 'a' }}", "the filter `plus` needs a number, not text"),
        ("{% assign c = customer %}{{ c.zone }}", "`customer` has no `zone`; it has id, traits, locale"),
        ("{{ customer.zone }}", "`customer` has no `zone`; it has id, traits, locale"),
        ("{{ customer.id.name }}", "`customer.id` has no `name`; it is text"),
    ],
)
def test_a_refusal_names_what_no_value_mends(text: str, words: str) -> None:
    [found] = check("sms", {"text": text})
    assert found.detail.endswith(words)


def test_every_unknown_name_is_told_at_once_with_what_was_meant() -> None:
    text = (
        "{{ links.unsubscibe }} {{ campaign.nam }} {{ customer.zone | default: 'x' }}\n{{ event.id }} {{ evnt.data.x }}"
    )
    found = check("sms", {"text": text})
    assert [(each.code, each.line, each.suggestion) for each in found] == [
        ("unknown_name", 1, "did you mean `links.unsubscribe`?"),
        ("unknown_name", 1, "did you mean `campaign.name`?"),
        ("unknown_name", 1, None),
        ("unknown_name", 2, None),
        ("unknown_name", 2, "did you mean `event`?"),
    ]


def test_faults_of_all_fields_are_told_at_once() -> None:
    content = push("a\n{{ e.x }}", "{{ event.data }}", link="/x/{{ e.x }}")
    assert [pointer for pointer, *_ in errors(check("push", content))] == ["/title", "/body", "/link"]


@pytest.mark.parametrize(
    ("html", "severity"),
    [
        ("<a href='{{ links.unsubscribe | upcase }}'>x</a>", Severity.ERROR),
        ("{% comment %}{{ links.unsubscribe }}{% endcomment %}x", Severity.ERROR),
        ("{% if e.a %}" + UNSUBSCRIBE + "{% endif %}x", Severity.WARNING),
        (UNSUBSCRIBE, None),
    ],
)
def test_marketing_shows_its_way_out_in_every_branch(html: str, severity: Severity | None) -> None:
    found = [each.severity for each in check("email", mail(html=html), True) if each.code == "no_unsubscribe"]
    assert found == ([severity] if severity else [])


def test_more_variables_than_can_be_tried_are_said_to_be_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"v{number}" for number in range(40)]
    content = mail(html="".join(f"<p>{{{{ e.{name} }}}}</p>" for name in names) + UNSUBSCRIBE)
    warned = {each.variable for each in check("email", content, True) if each.code == "may_fail"}
    assert warned == {f"event.data.{name}" for name in names}
    monkeypatch.setattr(sendability, "MAX_READS", 2_000)  # as with 64 KiB of variables, which took ten minutes
    found = check("email", content, True)
    tried = [each for each in found if each.code == "may_fail"]
    (untried,) = [each for each in found if each.code == "not_tried"]
    assert 0 < len(tried) < len(names)
    assert f"{len(names) - len(tried)} of the variables" in untried.detail
    assert (untried.pointer, untried.severity) == ("/html", Severity.WARNING)


def test_the_payload_of_all_fields_together_is_checked() -> None:
    content = push("☃" * 100, "\U0001f600" * 999 + "{{ e.x }}")
    assert errors(check("push", content)) == [("", "too_long", (None, None))]

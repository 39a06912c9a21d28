"""Push: limits, links, data, and what phones cut off."""

import json
from typing import Any

import pytest

from schemas.documents import DocumentError, validate_document
from schemas.finding import Finding, Severity
from services.orchestrator.delivery.channels.push.channel import CHANNEL as PUSH
from services.template import RenderError

WORDS = {"title": "Your order", "body": "It has left our house"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"title": "a" * 101, "body": "x"}, "too_long"),
        ({"title": "a", "body": "x" * 1001}, "too_long"),
        ({"title": "☃" * 100, "body": "\U0001f600" * 1000}, "too_long"),  # 4,300 bytes
        ({"title": "a", "body": "x", "link": "http://example.org"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://u:p@example.org"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "javascript:alert(1)"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://example.org/a b"}, "unsafe_link"),
        ({"title": "a\nb", "body": "x"}, "control_character"),
        ({"title": "a", "body": "x", "link": "https://example.org/a?b=c#d"}, None),
    ],
)
def test_limits_hold_when_saved_and_when_rendered(content: dict[str, str], code: str | None) -> None:
    found = [each for each in PUSH.validate_content(content, True) if each.severity is Severity.ERROR]
    assert [each.code for each in found] == ([code] if code else [])
    if code:
        with pytest.raises(RenderError):
            PUSH.render(PUSH.compile_templates(content), {}, True)


@pytest.mark.parametrize("piece", ["x", '"', "\\", "\n", "é", "☃", "\U0001f600", "\u200d"])
def test_the_payload_is_measured_in_bytes_of_json(piece: str) -> None:
    for length in (1, 500, 990, 1000):
        content = {"title": f"a{piece.strip() or 'x'}" * 10, "body": f"a{piece * (length - 2)}b"}
        content["link"] = "https://example.org/" + "x" * 1500
        size = len(json.dumps({"message": content}, ensure_ascii=False).encode())
        compiled = PUSH.compile_templates(content)
        found = [each for each in PUSH.validate_content(content, True) if each.severity is Severity.ERROR]
        assert found == [] or size > 4096, found
        if size > 4096:
            with pytest.raises(RenderError) as caught:
                PUSH.render(compiled, {}, True)
            assert f"has {size} bytes" in caught.value.detail


def render(content: dict[str, str], **values: Any) -> dict[str, str]:
    return PUSH.render(PUSH.compile_templates(content), {"event": {"data": values}}, True)


def errors_of_fields(content: dict[str, str]) -> list[Finding]:
    """What the model of the fields refuses."""
    try:
        validate_document(PUSH.fields, content)
    except DocumentError as error:
        return error.findings
    return []


def test_content_without_the_new_fields_renders_as_it_always_did() -> None:
    assert render({**WORDS, "link": "https://example.org/a"}) == {**WORDS, "link": "https://example.org/a"}


def test_all_fields_are_rendered_with_the_time_in_seconds_and_the_data_as_json() -> None:
    content = {
        **WORDS,
        "link": "shop://orders/{{ event.data.order }}",
        "collapse_key": "order-{{ event.data.order }}",
        "priority": "high",
        "ttl": "4h",
        "data": """{"order": "{{ event.data.order }}", "kind": "{{ event.data.kind | default: 'none' }}"}""",
    }
    assert errors_of_fields(content) == []
    assert {each.code for each in PUSH.validate_content(content, True)} <= {"may_fail"}
    assert render(content, order=7) == {
        **WORDS,
        "link": "shop://orders/7",
        "collapse_key": "order-7",
        "priority": "high",
        "ttl": "14400",
        "data": '{"order":"7","kind":"none"}',
    }


@pytest.mark.parametrize("value", ['", "admin": "yes', "\\", "a\nb", "{{ 7 }}", "", "é☃", "</script>"])
def test_no_value_adds_a_key_to_the_data(value: str) -> None:
    rendered = render({**WORDS, "data": '{"order": "{{ event.data.order }}", "kind": "x"}'}, order=value)
    assert json.loads(rendered["data"]) == {"order": value, "kind": "x"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "not JSON, at line 1, column 2"),
        ('{"a": "{{ event.data.x | default: "y" }}"}', "not JSON"),
        ("[]", "not an object"),
        ('{"a": 5}', "`a` is no text"),
        ('{"a": {"b": "c"}}', "`a` is no text"),
        ('{"a": "1", "a": "2"}', "a key twice"),
        ('{"link": "x"}', "`link`, which is written from the other fields"),
        ('{"from": "x"}', "`from`, which providers keep for themselves"),
        ('{"aps": "x"}', "`aps`, which providers keep for themselves"),
        ('{"google.x": "x"}', "providers keep for themselves"),
        ('{"a b": "x"}', "has a key that is not a letter"),
        ('{"": "x"}', "has a key that is not a letter"),
        (json.dumps({f"k{number}": "" for number in range(51)}), "has 51 keys, at most 50"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_data_that_providers_would_refuse_are_refused_when_saved(data: str, words: str) -> None:
    [found] = errors_of_fields({**WORDS, "data": data})
    assert found.pointer == "/data" and words in found.detail


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ttl", "0s", "not a duration"), ("ttl", "600", "not a duration"), ("ttl", "29d", "longer than 28 days"),
        ("ttl", "{{ event.data.ttl }}", "not a duration"), ("priority", "urgent", "high"), ("priority", "", "high"),
    ],
)  # fmt: skip
def test_a_wrong_time_or_priority_is_refused_when_saved(field: str, value: str, words: str) -> None:
    [found] = errors_of_fields({**WORDS, field: value})
    assert found.pointer == f"/{field}" and words in found.detail


@pytest.mark.parametrize(
    "link",
    ["javascript://%0aalert(1)", "intent://x", "file://x", "data://x", "http://example.org", "shop:orders",
     "shop://a b", 'shop://a"b', "shop://a\\b"],
)  # fmt: skip
def test_links_that_lead_neither_into_an_app_nor_to_https_are_refused(link: str) -> None:
    with pytest.raises(RenderError) as caught:
        render({**WORDS, "link": link})
    assert caught.value.code == "unsafe_link"


def test_no_value_chooses_the_scheme_of_a_link() -> None:
    with pytest.raises(RenderError):
        render({**WORDS, "link": "{{ event.data.link }}"}, link="shop://orders/5")
    assert render({**WORDS, "link": "{{ event.data.link }}"}, link="https://example.org/5")["link"].endswith("/5")


@pytest.mark.parametrize(("key", "code"), [("a b", "control_character"), ("ü", "control_character"), ("", "empty"),
                                           ("x" * 65, "too_long"), ("x\ny", "control_character")])  # fmt: skip
def test_a_collapse_key_that_no_header_carries_fails(key: str, code: str) -> None:
    with pytest.raises(RenderError) as caught:
        render({**WORDS, "collapse_key": "{{ event.data.key }}"}, key=key)
    assert (caught.value.code, caught.value.field) == (code, "collapse_key")


def test_data_count_in_the_payload() -> None:
    content = {**WORDS, "data": json.dumps({"a": "x" * 4100})}
    assert [each.code for each in PUSH.validate_content(content, True)] == ["too_long"]
    with pytest.raises(RenderError, match="at most 4096 are allowed"):
        render(content)


def test_a_fault_in_the_data_is_found_in_its_place() -> None:
    [found] = PUSH.validate_content({**WORDS, "data": '{"a": "{{ today }}"}'}, True)
    assert (found.pointer, found.code) == ("/data/a", "unknown_name")
    [found] = PUSH.validate_content({**WORDS, "data": '{"a": "{{ x"}'}, True)
    assert (found.pointer, found.code) == ("/data/a", "template_syntax")


def test_what_phones_cut_off_is_a_warning_that_says_where() -> None:
    found = PUSH.validate_content({"title": "a" * 45, "body": "b" * 500}, True)
    assert [(each.pointer, each.code, each.severity) for each in found] == [
        ("/title", "may_be_cut", Severity.WARNING),
        ("/body", "may_be_cut", Severity.WARNING),
    ]
    assert found[0].detail == "title has 45 characters without its values; shown are: iOS about 40"
    assert "iOS about 180, Android about 450" in found[1].detail


def test_values_and_branches_do_not_count_as_words_of_a_content() -> None:
    name = "{{ event.data.a_rather_long_name_of_a_value_in_an_event | default: 'x' }}"
    found = PUSH.validate_content(
        {"title": f"Hi {name}", "body": "{% if event.data.x %}" + "b" * 500 + "{% endif %}c"}, True
    )
    assert "may_be_cut" not in [each.code for each in found]


def test_a_preview_says_what_is_cut_off() -> None:
    rendered = {"title": "a" * 60, "body": "short"}
    size = len(json.dumps({"message": rendered}))
    assert PUSH.measure(rendered) == {
        "payload_bytes": size,
        "cut_off": "title after about 40 characters on iOS; title after about 50 characters on Android",
    }
    assert PUSH.summarise(rendered) == "cut off on iOS and Android"
    assert PUSH.measure(WORDS)["cut_off"] == PUSH.summarise(WORDS) == PUSH.summarise({}) == ""

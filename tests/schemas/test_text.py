"""Text that cannot be kept is found at any depth, in keys and values, with its place."""

import json
from typing import Any

import pytest

from schemas.documents import DocumentError, load_document, load_json
from schemas.event import InvalidEvent, decode_record, parse_data, peek_type
from schemas.own_events import check_event
from schemas.text import find_bad_texts

HALF_PAIR = "\ud83d"
PLACES: list[tuple[Any, str]] = [
    (HALF_PAIR, ""),
    ({"name": f"Ada{HALF_PAIR}"}, "/name"),
    ({"tags": ["a", ["b", {"c": "\x00"}]]}, "/tags/1/1/c"),
    ({f"a/{HALF_PAIR}": 1}, "/a~1?"),
    ({"deep": {"\x00": {"x": 1}}}, "/deep/?"),
]


@pytest.mark.parametrize("value, pointer", PLACES)
def test_json_with_it_is_refused_with_a_pointer(value: Any, pointer: str) -> None:
    assert [place for place, _, _ in find_bad_texts(value)] == [pointer]
    with pytest.raises(DocumentError) as refused:
        load_json(json.dumps(value).encode())
    ((place, code, detail),) = refused.value.errors
    assert (place, code) == (pointer, "bad_text")
    detail.encode()


def test_every_place_is_named() -> None:
    with pytest.raises(DocumentError) as refused:
        load_json(json.dumps({"a": HALF_PAIR, "b": ["\x00"]}).encode())
    assert sorted(place for place, _, _ in refused.value.errors) == ["/a", "/b/0"]


@pytest.mark.parametrize("text", ['name: "Ada\\uD83D"', 'name: ["x", "\\0"]', '"na\\0me": 1'])
def test_yaml_with_it_is_refused(text: str) -> None:
    with pytest.raises(DocumentError) as refused:
        load_document(text)
    assert {code for _, code, _ in refused.value.errors} == {"bad_text"}


@pytest.mark.parametrize("text", ["😀", "a\u2028b", "a\x0cb", "\\ud83d", "a\\u0000b", "ﷺ\uffff"])
def test_everything_else_is_data(text: str) -> None:
    assert load_json(json.dumps({"text": text}).encode()) == {"text": text}
    assert load_json(json.dumps({"text": text}, ensure_ascii=False).encode()) == {"text": text}


def test_the_data_of_a_record_in_binary_mode_are_checked() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"e-1"), ("ce_source", b"/s"), ("ce_type", b"shop.x")]
    headers += [("ce_subject", b"c-1"), ("ce_time", b"2026-03-01T09:00:00Z")]
    event = decode_record(headers, b'{"a": [{"\\ud83d": 1}]}')
    with pytest.raises(InvalidEvent) as refused:
        parse_data(event)
    assert refused.value.pointer == "/data/a/0/?"


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_subject"])
@pytest.mark.parametrize("value", [b"a\x00b", b"a\xed\xa0\xbdb", b"\xff"])
def test_the_headers_of_a_record_are_checked(name: str, value: bytes) -> None:
    headers = {"ce_specversion": b"1.0", "ce_id": b"e-1", "ce_source": b"/s", "ce_type": b"shop.x"}
    headers |= {"ce_subject": b"c-1", "ce_time": b"2026-03-01T09:00:00Z", name: value}
    with pytest.raises(InvalidEvent) as refused:
        decode_record(list(headers.items()), b"{}")
    assert refused.value.pointer == "/" + name.removeprefix("ce_")


def test_one_bad_character_does_not_hide_what_the_rest_of_a_record_says() -> None:
    traits = {"a": HALF_PAIR, "b": "😀", "c": "\\ud83d", "d": [HALF_PAIR + HALF_PAIR]}
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/s", "type": "tactful.customer.identified"}
    envelope |= {"subject": "c-1", "time": "2026-03-01T09:00:00Z"}
    value = json.dumps({**envelope, "data": {"traits": traits, "locale": "de"}}).encode()
    assert peek_type((), value) == "tactful.customer.identified"
    found = check_event(decode_record((), value))
    assert sorted(pointer for pointer, _, _ in found.problems) == ["/data/traits/a", "/data/traits/d/0"]
    assert found.data == {"traits": {"b": "😀", "c": "\\ud83d"}, "locale": "de"}

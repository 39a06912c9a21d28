"""Documents as files and requests bring them."""

import json

import pytest

from schemas.documents import DocumentError, is_blank_line, load_document, load_json
from schemas.event import decode_event, decode_record, encode_event, parse_data, parse_request, peek_type
from schemas.times import parse_instant
from tests.support.document_builders import event

MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_not_part_of_a_document() -> None:
    assert load_json(MARK + b'{"a": 1}') == {"a": 1}
    assert load_document(MARK + b'{"a": 1}') == {"a": 1}
    assert load_document(MARK + b"a: 1\n") == {"a": 1}
    assert load_document("\ufeffa: 1\n") == {"a": 1}
    assert is_blank_line(MARK + b"\r\n") and not is_blank_line(MARK + b"{}\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_named(encoding: str) -> None:
    text = "\ufeffa: 1" if encoding != "utf-16" else "a: 1"
    for load in (load_json, load_document):
        with pytest.raises(DocumentError, match="UTF-16: save it as UTF-8"):
            load(text.encode(encoding))


def test_a_mark_in_front_of_an_event_changes_nothing() -> None:
    now = parse_instant("2026-03-02T12:00:00Z")
    body = encode_event(decode_event(_text(event("shop.offer", "1"))))
    plain = decode_event(body)
    assert decode_event(MARK + body) == plain
    assert decode_record((), MARK + body) == plain
    assert peek_type((), MARK + body) == "shop.offer"
    assert parse_request(MARK + body, False, now) == [plain]
    assert parse_request(MARK + b"[" + body + b"]", True, now) == [plain]


def test_a_mark_in_front_of_the_data_of_a_binary_record_is_not_passed_on() -> None:
    fields = {name: str(value).encode() for name, value in event("shop.offer", "1").items() if name != "data"}
    headers = tuple((f"ce_{name}", value) for name, value in fields.items())
    read = decode_record(headers, MARK + b'{"total": 1}')
    assert parse_data(read) == {"total": 1}
    assert parse_data(decode_event(encode_event(read))) == {"total": 1}


def _text(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()

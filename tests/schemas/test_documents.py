"""Documents as files and requests bring them."""

import json
import re

import pytest

from schemas.campaign import Campaign
from schemas.customer import Customer
from schemas.documents import DocumentError, find_lines, is_blank_line, load_document, load_json, validate_document
from schemas.event import decode_event, decode_record, encode_event, parse_data, parse_request, peek_type
from schemas.fields import Document
from schemas.policy import Policy
from schemas.suppression import Hold
from schemas.times import parse_instant
from tests.support.document_builders import campaign, event
from tests.support.processor_time import processor_seconds

MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_not_part_of_a_document() -> None:
    assert load_json(MARK + b'{"a": 1}') == {"a": 1}
    assert load_document(MARK + b'{"a": 1}') == {"a": 1}
    assert load_document(MARK + b"a: 1\n") == {"a": 1}
    assert load_document("\ufeffa: 1\n") == {"a": 1}
    assert is_blank_line(MARK + b"\r\n") and not is_blank_line(MARK + b"{}\n")


@pytest.mark.parametrize(
    ("model", "document", "pointer", "suggestion"),
    [
        (Campaign, {**campaign(), "class_": "service"}, "/class_", "`class`"),
        (Customer, {"customer": "c", "opt_outs": [{"class_": "marketing"}]}, "/opt_outs/0/class_", "`class`"),
        (Customer, {"customer": "c", "quiet_hours": [{"start": "21:00", "end": "08:00"}]}, "/quiet_hours/0/start", ""),
        (Policy, {"zone": "UTC", "quiet_hours": [{"id": "q", "start": "21:00", "to": "08:00"}]}, "/quiet_hours/0/start",
         ""),
        (Hold, {"key": "h", "mode": "drop", "scope": {}, "reason": "r", "start": "2026-03-02T12:00:00Z"}, "/start", ""),
    ],
)  # fmt: skip
def test_a_name_of_python_is_no_field(
    model: type[Document], document: dict[str, object], pointer: str, suggestion: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        validate_document(model, document)
    assert (pointer, "unknown_field") in [each[:2] for each in caught.value.errors]
    assert suggestion in str([each[2] for each in caught.value.errors if each[0] == pointer])


@pytest.mark.parametrize("value", [1, 1.0, "true", False, 0, [True]])
def test_only_true_opts_out_of_all(value: object) -> None:
    with pytest.raises(DocumentError) as caught:
        validate_document(Customer, {"customer": "c", "opt_outs": [{"all": value}]})
    assert [each[0] for each in caught.value.errors] == ["/opt_outs/0/all"]


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("True", "True"), ("true", True), ("12:30", "12:30"),
        ("12:30:45.5", "12:30:45.5"), ("2026-03-01", "2026-03-01"), ("2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"),
        ("010", "010"), ("0x1F", "0x1F"), ("0b1", "0b1"), ("1_000", "1_000"), ("+5", "+5"), ("-5", -5), ("0", 0),
        ("1.5", 1.5), ("1e5", 1e5), ("-1.5E-3", -1.5e-3), (".5", ".5"), (".inf", ".inf"), (".nan", ".nan"), ("=", "="),
        ("~", None), ("null", None), ("", None), ("<<", "<<"), ("'5'", "5"), (r'"\ud83d\ude00"', "😀"),
    ],
)  # fmt: skip
def test_a_yaml_value_is_what_the_same_json_value_is_or_text(text: str, value: object) -> None:
    found = load_document(f"a: {text}\n")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a: &x 1\nb: *x\n", "anchors and aliases are not supported at line 2, column 4"),
        ("a: 1\n<<: {b: 2}\na: 2\n", "the key `a` appears twice at line 3, column 1"),
        ("a: !!binary aGk=\n", "the tag tag:yaml.org,2002:binary is not supported at line 1, column 4"),
        ("a: !!python/object:os.system {}\n", "is not supported at line 1, column 4"),
        ("a: !mine 1\n", "the tag !mine is not supported at line 1, column 4"),
        ("1: x\n", "a key is not text: put it in quotes at line 1, column 1"),
        ("true: x\n", "a key is not text"),
        ("? [a, b]\n: x\n", "a key is not text"),
        ("? {a: 1}\n: x\n", "a key is not text"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: [1\n", "at line 2, column 1"),
        ("a: 1e999\n", "out of range"),
        ("a: 99999999999999999999\n", "beyond 64 bits"),
        ("a: " + "9" * 5000 + "\n", "a whole number beyond 64 bits"),
        ('{"a": ' + "9" * 5000 + "}", "a whole number beyond 64 bits"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than 32 levels"),
        ("a: " + "[" * 100_000, "nested deeper than 32 levels"),
    ],
)
def test_yaml_is_as_strict_as_json(text: str, detail: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(detail)):
        load_document(text)


def test_what_begins_with_a_brace_may_be_json_or_yaml() -> None:
    assert load_document("{a: 1, b: [x, y]}") == {"a": 1, "b": ["x", "y"]}
    with pytest.raises(DocumentError, match="NaN is not a JSON number"):
        load_document('{"a": NaN}')
    with pytest.raises(DocumentError, match="appears twice"):
        load_document('{"a": 1, "a": 2}')
    with pytest.raises(DocumentError, match=r"not JSON: .* at line 1"):
        load_document('{"a": 1')


def test_a_pointer_leads_to_its_line() -> None:
    text = b"key: offer\ncontent:\n  email:\n    en:\n      subject: Hi\nsteps:\n  - a\n  - b: 1\n"
    pointers = ["/key", "/content/email/en/subject", "/steps/1/b", "/steps/1/missing", "/nothing", ""]
    assert find_lines(text, pointers) == [1, 5, 8, 8, None, None]


def test_thousands_of_unknown_fields_are_refused_soon() -> None:
    document = {**campaign(), **{f"triggers{number}": 1 for number in range(40_000)}}
    with pytest.raises(DocumentError) as refused:
        validate_document(Campaign, document)
    assert len(refused.value.errors) == 100
    assert refused.value.errors[0][:2] == ("/triggers0", "unknown_field")
    assert "did you mean `trigger`" in refused.value.errors[0][2]
    assert processor_seconds(lambda: validate_document(Campaign, document), DocumentError) < 0.05


def test_a_long_name_is_compared_with_none() -> None:
    document = {**campaign(), **{"x" * 200_000 + str(number): 1 for number in range(5)}}
    assert processor_seconds(lambda: validate_document(Campaign, document), DocumentError) < 0.01

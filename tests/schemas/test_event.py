"""Records that cannot be read: whom they may concern (docs/decisions/0014), and that none stops whoever reads it."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.event import Headers, InvalidEvent, customers_of, decode_record, peek_identity, peek_type
from schemas.quarantine import customers_to_quarantine
from schemas.times import parse_instant

BODY = b'{"specversion":"1.0","type":"t","subject":"c-body"}'
SUBJECT = ("ce_subject", b"c-header")
BINARY = ("ce_type", b"t")


@pytest.mark.parametrize(
    ("key", "headers", "value", "customers"),
    [
        (b"c-key", (), None, ("c-key",)),
        (b"c-1", (("ce_subject", b"c-1"),), b'{"subject":"c-1"}', ("c-1",)),  # all three agree
        (b"c-key", (SUBJECT,), BODY, ("c-header", "c-body", "c-key")),  # all three disagree
        (b"c-key", (BINARY, SUBJECT), BODY, ("c-header", "c-key")),  # binary mode: the body is data
        (None, (("CE_Subject", b"c-header"),), b"not json", ("c-header",)),  # header names ignore case
        (b"\xff", (("ce_subject", b"\xff"),), b'{"subject":"c-body"}', ("c-body",)),  # not UTF-8
        (b"c\n1", (("ce_subject", b""),), b'{"subject":"' + b"c" * 257 + b'"}', ()),  # no valid id
        (b"c-key", (), b'{"subject":5}', ("c-key",)),
        (b"c-key", (), b"[" * 100_000, ("c-key",)),  # nested too deeply to be decoded
        (None, (), None, ()),
    ],
)
def test_every_customer_whom_a_record_names(
    key: bytes | None, headers: Headers, value: bytes | None, customers: tuple[str, ...]
) -> None:
    assert customers_of(key, headers, value) == customers


DEEP = b'{"specversion":"1.0","id":"e-1","source":"/s","type":"tactful.preference.changed","subject":"c-1","data":%s}'
NOW = parse_instant("2026-03-02T12:00:00Z")


@given(
    value=st.none()
    | st.binary(max_size=60)
    | st.text(alphabet='{}[]":,\\u0dt1eype', max_size=60).map(str.encode)
    | st.sampled_from([b"[", b'{"a":', b'{"type":', b'{"subject":']).map(lambda part: part * 20_000),
    headers=st.lists(st.tuples(st.sampled_from(["ce_type", "ce_subject", "ce_id", "x"]), st.binary(max_size=8))),
)
@example(value=DEEP % (b"[" * 50_000 + b"]" * 50_000), headers=[])
@example(value=DEEP % (b'{"a":' * 40_000 + b"1" + b"}" * 40_000), headers=[])
@example(value=DEEP % (b"9" * 5_000), headers=[])
@example(value=DEEP % b'{"topics":"\\ud800"}', headers=[])
def test_no_record_stops_whoever_reads_it(value: bytes | None, headers: Headers) -> None:
    peek_type(headers, value)
    assert peek_identity(b"c-1", headers, value).customer is not None
    assert "c-1" in customers_of(b"c-1", headers, value)
    for failed in (True, False):
        customers_to_quarantine(b"c-1", headers, value, NOW, lambda _: True, failed=failed)
    with contextlib.suppress(InvalidEvent):
        decode_record(headers, value, NOW)


def test_of_a_repeated_header_the_first_counts_for_whoever_reads_the_record() -> None:
    given = {"specversion": b"1.0", "id": b"e-1", "source": b"/s", "time": b"2026-03-01T09:00:00Z"}
    headers = [
        *((f"ce_{name}", value) for name, value in given.items()),
        *(("ce_type", b"tactful.preference.changed"), ("CE_Type", b"shop.paid")),
        *(("ce_subject", b"c-1"), ("ce_subject", b"c-2")),
    ]
    event = decode_record(headers, b"{}")
    assert (event.type, event.subject) == ("tactful.preference.changed", "c-1")
    assert (peek_type(headers, b"{}"), customers_of(None, headers, b"{}")) == (event.type, (event.subject,))

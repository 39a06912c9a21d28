"""Whom an unreadable record may concern (docs/decisions/0014)."""

import pytest

from schemas.event import Headers, customers_of

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

"""Requests of providers that tell what became of a message, and what the reader of every adapter has to stand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.receipt import Receipt
from schemas.times import SECOND, parse_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest

NOW = parse_instant("2026-03-02T09:00:00Z")
SECONDS = NOW // SECOND
MESSAGE = "msg_" + "0a" * 16
ADDRESS = "ada@example.org"

JSON_LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from([MESSAGE, "Permanent", "failed"])
)


def request(body: bytes, headers: Mapping[str, str], now: int = NOW) -> ReceiptRequest:
    """What arrives at the route."""
    return ReceiptRequest({name.lower(): value for name, value in headers.items()}, {}, body, now)


def body_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def kinds(receipts: Sequence[Receipt]) -> list[tuple[str, bool, bool]]:
    return [(each.kind, each.permanent, each.by_machine) for each in receipts]


def refused(read: Callable[[], object], *words: str) -> None:
    """Reading is refused, with words that say how to mend it."""
    with pytest.raises(ReceiptRefused) as found:
        read()
    assert all(word in str(found.value) for word in words), str(found.value)


def check_form(receipts: Sequence[Receipt], adapter: str) -> None:
    """Keys are short, distinct and of the adapter, and nothing shows an address."""
    assert len({each.key for each in receipts}) == len(receipts)
    for each in receipts:
        assert re.fullmatch(f"{adapter}:[0-9a-f]{{40}}", each.key)
        assert "@" not in (each.detail or "")


def stands_everything(read: Callable[[bytes], Sequence[Receipt]], document: st.SearchStrategy[Any]) -> None:
    """Whatever a body is, it is read or refused, and nothing else is raised. `read` signs it as the provider does."""

    def try_read(body: bytes) -> None:
        with suppress(ReceiptRefused, Malformed):
            assert all(isinstance(each, Receipt) for each in read(body))

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(st.binary(max_size=200), any_json().map(body_of), document.map(body_of)))
    def hypothetical(body: bytes) -> None:
        try_read(body)

    hypothetical()
    for body in (b"[" * 100_000, b'{"a":' * 100_000, b'{"timestamp": 1e999}', b'"\\ud800"', b"\xff\xfe", b"1" * 9_000):
        try_read(body)


def stands_all_headers(read: Callable[[ReceiptRequest], object], names: Sequence[str]) -> None:
    """Whatever stands in the headers of nobody, the request is refused, and nothing else is raised."""
    texts = st.text(st.characters(max_codepoint=255), max_size=60)

    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(st.sampled_from([name.lower() for name in names]), texts))
    def hypothetical(headers: dict[str, str]) -> None:
        refused(lambda: read(request(b"{}", headers)))

    hypothetical()


def any_json() -> st.SearchStrategy[Any]:
    """Any JSON, NaN and infinity too."""
    return st.recursive(
        JSON_LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    )


def with_any_fields(document: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """The document with some of its fields replaced by any JSON, or left out."""
    fields = {
        name: with_any_fields(value) if isinstance(value, dict) else st.just(value) | any_json()
        for name, value in document.items()
    }
    return st.fixed_dictionaries({}, optional=fields) | any_json()

"""Message ids are exactly what docs/documents.md defines."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents import DocumentError, validate_document
from schemas.event import InvalidEvent, parse_request
from schemas.ids import compute_message_id, describe_invalid_id
from schemas.suppression import Hold

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, st.integers(0, 2**31))
def test_a_message_id_is_the_hash_of_a_json_array(
    customer: str, source: str, event: str, campaign: str, channel: str, step: str, occurrence: int
) -> None:
    parts = [customer, source, event, campaign, step, channel, occurrence]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    expected = "msg_" + hashlib.sha256(text.encode()).hexdigest()[:32]
    assert compute_message_id(customer, source, event, campaign, channel, step, occurrence) == expected


SHOW_NOTHING = (
    *(" ", "   ", "\u00a0", "\u2003\u3000", "\u200b", "\u200d\u200c", "\ufeff", "\u00ad", "\u2060"),
    *("\u0301", "\u20dd\u0301", "\ufe0f", "\u115f", "\u3164", "\u2800", " \u0301\u200b"),
)


@pytest.mark.parametrize("text", [*SHOW_NOTHING, "", "\t", "a\n", "\x7f", "\u202eid"], ids=ascii)
def test_an_id_of_blanks_marks_or_invisible_characters_is_refused(text: str) -> None:
    assert describe_invalid_id(text) is not None
    for field in ("id", "source", "type", "subject"):
        event = {"specversion": "1.0", "id": "e-1", "source": "/s", "type": "shop.x", "subject": "c-1"}
        [found] = parse_request(
            json.dumps({**event, "time": "2026-03-01T09:00:00Z", field: text}).encode(), False, 2**60
        )
        assert isinstance(found, InvalidEvent)
        assert found.problems[0][0] == f"/{field}"


@pytest.mark.parametrize(
    "text", ["-", "e 1", "é", "e\u0301", "\u0928\u0947", "نمی\u200cخواهم", "😀", "1", "€"], ids=ascii
)
def test_an_id_that_shows_something_is_taken(text: str) -> None:
    assert describe_invalid_id(text) is None


@pytest.mark.parametrize("text", SHOW_NOTHING, ids=ascii)
def test_a_reason_that_shows_nothing_is_none(text: str) -> None:
    with pytest.raises(DocumentError) as refused:
        validate_document(Hold, {"key": "h", "mode": "defer", "from": "2026-03-01T09:00:00Z", "reason": text})
    assert [pointer for pointer, _, _ in refused.value.errors] == ["/reason"]

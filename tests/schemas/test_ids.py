"""Message ids are exactly what docs/documents.md defines."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import compute_message_id

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, st.integers(0, 2**31))
def test_a_message_id_is_the_hash_of_a_json_array(
    customer: str, source: str, event: str, campaign: str, channel: str, step: str, occurrence: int
) -> None:
    parts = [customer, source, event, campaign, step, channel, occurrence]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    expected = "msg_" + hashlib.sha256(text.encode()).hexdigest()[:32]
    assert compute_message_id(customer, source, event, campaign, channel, step, occurrence) == expected

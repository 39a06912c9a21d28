"""Who sends a text: by its class and the country of its number."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.message import Message
from services.orchestrator.delivery.adapters.text_api_settings import Senders, choose_sender

US, DE, FR = "+12025550123", "+4915112345678", "+33612345678"
TABLE = '{"US": "+15017122661", "marketing/US": "24680", "marketing": "Shop News", "service": "Shop", "FR": "36111"}'
SENDERS = TypeAdapter(Senders)


@pytest.mark.parametrize(
    ("cls", "to", "expected"),
    [
        ("marketing", US, "24680"),  # of both
        ("service", US, "+15017122661"),  # the country comes before the class
        ("transactional", US, "+15017122661"),
        ("marketing", FR, "36111"),
        ("marketing", DE, "Shop News"),
        ("service", DE, "Shop"),
        ("transactional", DE, "Default"),
        ("marketing", "+999", "Shop News"),
    ],
)
def test_the_most_precise_sender_is_chosen(cls: str, to: str, expected: str) -> None:
    message = Message("msg_1", "c-1", "offer", 1, "sms", cls, to, {"text": "Hi"}, "/shop", "e-1")
    assert choose_sender(TABLE, "Default", message) == expected
    assert choose_sender("", "Default", message) == "Default"
    assert choose_sender("", None, message) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "Invalid JSON"),
        ('{"US": "A sender of more"}', "US: "),
        ('{"U": "Shop"}', "U: use transactional"),
        ('{"/US": "Shop"}', "/US: use"),
        ('{"adverts/US": "Shop"}', "adverts/US: use"),
        ('{"marketing/": "Shop"}', "marketing/: use"),
        ('{"US/marketing": "Shop"}', "US/marketing: use"),
    ],
)
def test_a_table_of_senders_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SENDERS.validate_python(text)
    assert words in str(caught.value)
    assert SENDERS.validate_python(TABLE) == TABLE

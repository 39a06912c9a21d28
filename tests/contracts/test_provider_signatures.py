"""Requests that the providers' own SDKs have signed, or accept as genuine, are accepted; changed ones are refused.

`providers/make_signatures.py.txt` made them, with the versions of the SDKs that it names.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.times import SECOND
from services.kit.errors import Permanent
from services.orchestrator.delivery.adapters.definition import ReceiptRequest

VECTORS = json.loads((Path(__file__).parent / "providers/signatures.json").read_text("utf-8"))
LATE = 5 * 24 * 3600
"""Seconds after which every signed time is too old; SendGrid signs once and repeats for days."""


def read(vector: dict[str, Any], body: str | None = None, after: int = 0, **headers: str) -> Any:
    settings = ADAPTER_REGISTRY.declarations[vector["adapter"]].settings.model_validate(vector["settings"])
    content = (vector["body"] if body is None else body).encode()
    query = dict(part.split("=", 1) for part in vector["query"].split("&") if part)
    now = (vector["now"] + after) * SECOND
    request = ReceiptRequest({**vector["headers"], **headers}, query, content, now, vector["query"])
    return ADAPTER_REGISTRY.load_module(vector["adapter"], "receipts").read_receipts(settings, request)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["adapter"])
def test_what_the_providers_own_code_has_signed_is_read(vector: dict[str, Any]) -> None:
    (statement,) = read(vector)
    assert getattr(statement, "message_id", "msg_1") == "msg_1"
    assert getattr(statement, "kind", "delivered") == "delivered"
    assert getattr(statement, "text", "Grüße").startswith("Grüße")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["adapter"])
def test_the_same_with_one_character_more_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Permanent):
        read(vector, vector["body"] + ("1" if vector["adapter"] == "twilio" else " "))
    proof = max(vector["headers"], key=lambda name: len(vector["headers"][name]))
    with pytest.raises(Permanent):
        read(vector, **{proof: vector["headers"][proof].swapcase()})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["adapter"])
def test_a_signed_time_does_not_last(vector: dict[str, Any]) -> None:
    if vector["adapter"] == "twilio":  # its signature holds no time
        assert len(read(vector, after=LATE)) == 1
        return
    with pytest.raises(Permanent):
        read(vector, after=LATE)


def test_they_are_of_every_provider_with_such_an_sdk() -> None:
    assert {each["adapter"] for each in VECTORS} == {"twilio", "resend", "sendgrid", "telnyx", "vonage"}

"""A sender's name is believed only with the signature of a door of ours, on this very record."""

import pytest

from services.kit.bus.protocol import Headers, Record
from services.kit.bus.sender_signature import SENDER_HEADER, SIGNATURE_HEADER, SenderSignature

DOOR = SenderSignature("the key that the services share")
SIGNED = DOOR.headers("shop", b"c-1", b"{}")


def record(headers: Headers, key: bytes | None = b"c-1", value: bytes | None = b"{}") -> Record:
    return Record("customer.events", 0, 0, key, value, headers, 0)


def test_a_signed_sender_is_found_among_other_headers() -> None:
    assert DOOR.find_sender(record((("content-type", b"x"), *SIGNED))) == "shop"
    assert DOOR.find_sender(record(DOOR.headers("Zoë", b"", b""), None, None)) == "Zoë"


@pytest.mark.parametrize(
    "forged",
    [
        record(()),
        record(((SENDER_HEADER, b"shop"),)),
        record((SIGNED[1],)),
        record(((SENDER_HEADER, b"admin"), SIGNED[1])),
        record((SIGNED[0], (SIGNATURE_HEADER, b"0" * 64))),
        record((SIGNED[0], (SIGNATURE_HEADER, "\xff".encode("latin-1")))),
        record(SIGNED, key=b"c-2"),
        record(SIGNED, value=b'{"a":1}'),
        record(SIGNED, key=b"c-1{}", value=b""),  # the parts are told apart
        record(SenderSignature("another key").headers("shop", b"c-1", b"{}")),
    ],
)
def test_a_name_without_its_signature_is_no_name(forged: Record) -> None:
    assert DOOR.find_sender(forged) is None

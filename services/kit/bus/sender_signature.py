"""Who has sent an event through a door of ours: two headers of its record, which the services believe each other.

The log is open to every program that its access lists let in, and any of them can write any header. So the door signs
what it publishes with the service key: the sender's name, the record's key and its value. A name without a signature
that is right is no name. A copied record is no new event: its source and id are known.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from services.kit.bus.protocol import Headers, Record

SENDER_HEADER: Final = "tactful-sender"
SIGNATURE_HEADER: Final = "tactful-signature"
_PURPOSE: Final = b"tactful sender signature 1"
"""The key signs nothing else in this form."""


class SenderSignature:
    """Signs and reads the sender of records with the key that all services share."""

    def __init__(self, service_key: str) -> None:
        self._key = service_key.encode()

    def headers(self, sender: str, key: bytes, value: bytes) -> Headers:
        """The headers that name the sender of this record."""
        name = sender.encode()
        return (SENDER_HEADER, name), (SIGNATURE_HEADER, self._sign(name, key, value))

    def find_sender(self, record: Record) -> str | None:
        """The name of whoever sent the record through a door of ours; None without a right signature."""
        name, signature = (_first(record.headers, each) for each in (SENDER_HEADER, SIGNATURE_HEADER))
        if name is None or signature is None:
            return None
        right = self._sign(name, record.key or b"", record.value or b"")
        return name.decode(errors="replace") if hmac.compare_digest(signature, right) else None

    def _sign(self, *parts: bytes) -> bytes:
        content = b"".join(len(part).to_bytes(4) + part for part in (_PURPOSE, *parts))
        return hmac.new(self._key, content, sha256).hexdigest().encode()


def _first(headers: Headers, name: str) -> bytes | None:
    return next((value for key, value in headers if key == name), None)

"""Seals the rows of imported files while they wait to be applied, because they hold plain addresses and ids.

AES-256-GCM under a key that is made from the deployment's address key. A part is bound to its import and its number, so
that it cannot be put in the place of another.
"""

import os
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.bulk_import.part_splitter import PartRow

_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"tactful rows of imports"
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[PartRow])


class PartSeal:
    """Seals and opens parts under a deployment's address key."""

    def __init__(self, address_key: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, None, _PURPOSE).derive(address_key))

    def seal(self, import_id: str, number: int, rows: list[PartRow]) -> bytes:
        """The rows as they are kept."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _ENCODER.encode(rows), _name(import_id, number))

    def open(self, import_id: str, number: int, body: bytes) -> list[PartRow]:
        """The rows of a part. Raises InvalidTag for one that was changed, or sealed under another address key."""
        nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        return _DECODER.decode(self._cipher.decrypt(nonce, sealed, _name(import_id, number)))


def _name(import_id: str, number: int) -> bytes:
    return f"{import_id}\0{number}".encode()

"""Seals values of columns that hold personal data, by AES-256-GCM under keys that can be changed.

A sealed value is `MARK`, the length of the key's id, the id, a random nonce of 12 bytes, and the ciphertext with its
tag. Table, column, row and key id are authenticated with it: a value that was put into another column or row is
refused. Values without `MARK` are plain, from before sealing was switched on. `MARK` begins with a zero byte, with
which no plain value begins: they are JSON, or a format number that is not 0.
"""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kit.errors import SealedValueUnreadable

MARK: Final = b"\x00ck1"
KEY_BYTES: Final = 32
PLAIN: Final = ""
"""What `key_of` answers for a value that is not sealed."""
_NONCE_BYTES: Final = 12
_KEY_ID: Final = "[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_ENTRY: Final = re.compile(rf"(?P<id>{_KEY_ID}):(?P<key>[0-9a-fA-F]{{{2 * KEY_BYTES}}})")


def parse_column_keys(text: str) -> Mapping[str, bytes]:
    """The keys by their ids, in order, from `id:64 hexadecimal digits` with commas between. Raises ValueError, whose
    message quotes no key.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ValueError(
                f"key {number} is not `id:` and 64 hexadecimal digits; an id has letters, digits, _ and -, at most 32; "
                "`openssl rand -hex 32` makes a key"
            )
        if found["id"] in keys:
            raise ValueError(f"two keys have the id {found['id']}")
        keys[found["id"]] = bytes.fromhex(found["key"])
    if len(set(keys.values())) < len(keys):
        raise ValueError("two ids have the same key; `openssl rand -hex 32` makes one")
    return MappingProxyType(keys)


class ColumnCipher:
    """Seals with the first key and opens with any of them. Without keys it leaves values plain."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in (keys or {}).items()}
        self.first = next(iter(self._ciphers), PLAIN)
        """The id of the key that seals; `PLAIN` without keys."""

    def seal(self, column: str, row: str, value: bytes) -> bytes:
        """The value as it is stored. `column`: `table.column`; `row`: what the value must stay with."""
        if not self.first:
            return value
        header = MARK + bytes([len(self.first)]) + self.first.encode()
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._ciphers[self.first].encrypt(nonce, value, _bind(header, column, row))

    def open(self, column: str, row: str, stored: bytes) -> bytes:
        """The value that `seal` was given. Raises SealedValueUnreadable."""
        if stored[:1] != MARK[:1]:
            return stored
        stored = bytes(stored)
        key_id = key_of(stored)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealedValueUnreadable(
                f"{column} holds a value under the key {key_id!r}, which TACTFUL_COLUMN_KEYS does not have: add it"
            )
        start = len(MARK) + 1 + len(key_id)
        header, nonce, sealed = stored[:start], stored[start : start + _NONCE_BYTES], stored[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, sealed, _bind(header, column, row))
        except (InvalidTag, ValueError):
            raise SealedValueUnreadable(
                f"{column} holds a value that the key {key_id!r} does not open: it was changed or moved, or the key of "
                "that id is another one"
            ) from None


NO_CIPHER: Final = ColumnCipher()


def key_of(stored: bytes) -> str:
    """The id of the key under which a value is sealed, or `PLAIN`. Raises SealedValueUnreadable for a broken one."""
    if stored[:1] != MARK[:1]:
        return PLAIN
    length = stored[len(MARK)] if len(stored) > len(MARK) else 0
    key_id = stored[len(MARK) + 1 : len(MARK) + 1 + length].decode("ascii", "replace")
    if stored[: len(MARK)] != MARK or not re.fullmatch(_KEY_ID, key_id):
        raise SealedValueUnreadable("a stored value begins like a sealed one and is none: it was changed")
    return key_id


def _bind(header: bytes, column: str, row: str) -> bytes:
    return header + column.encode() + b"\0" + row.encode("utf-8", "surrogatepass")

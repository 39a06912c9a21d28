"""Encryption of a message for one browser: RFC 8291, with the content coding aes128gcm of RFC 8188 in one record."""

import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_CONTENT: Final = 3993
"""Bytes that one record of 4096 leaves (RFC 8291, section 4): 86 of the header, 16 of the tag, 1 that ends it."""
_RECORD_SIZE: Final = 4096
_LAST_RECORD: Final = b"\x02"


def encrypt(
    content: bytes,
    public_key: bytes,
    secret: bytes,
    *,
    own_key: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body for the browser with this key and secret.

    `own_key` and `salt` are new ones for each message; tests give those of the RFC. Raises ValueError for a key that is
    no point of the curve, and for content of more than 3993 bytes.
    """
    if len(content) > MAX_CONTENT:
        raise ValueError(f"more than {MAX_CONTENT} bytes")
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    own_key = own_key or ec.generate_private_key(ec.SECP256R1())
    salt = salt or secrets.token_bytes(16)
    own_point = encode_point(own_key)
    shared = own_key.exchange(ec.ECDH(), theirs)
    key_material = _derive(shared, secret, b"WebPush: info\0" + public_key + own_point, 32)
    key = _derive(key_material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(key_material, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_SIZE.to_bytes(4, "big") + bytes([len(own_point)]) + own_point
    return header + AESGCM(key).encrypt(nonce, content + _LAST_RECORD, None)


def encode_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key of a private one: 65 bytes, not compressed."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(material)

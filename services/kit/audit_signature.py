"""Signatures of the audit log's heads: Ed25519, so that whoever checks a head needs no secret."""

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.audit_log import AuditHead, head_bytes


class HeadKey:
    """Signs heads, with a key that is derived from the setting `audit.key`."""

    def __init__(self, secret: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(sha256(f"tactful audit heads\0{secret}".encode()).digest())
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = public.hex()

    def sign(self, seq: int, digest: str, at: int) -> AuditHead:
        """The head of a log of `seq` entries, signed. `at` is in microseconds since 1970 UTC."""
        return AuditHead(seq, digest, at, self.public_key, self._key.sign(head_bytes(seq, digest, at)).hex())


def is_signed(head: AuditHead, public_key: str) -> bool:
    """Whether a head was signed by the owner of this public key (hexadecimal)."""
    if head.public_key != public_key.lower():
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(head.signature), head_bytes(head.seq, head.digest, head.at))
    except (InvalidSignature, ValueError):
        return False
    return True

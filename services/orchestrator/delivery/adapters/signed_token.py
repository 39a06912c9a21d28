"""JSON Web Tokens with which this product proves who it is, signed with RS256 or ES256 (RFC 7515, RFC 7518)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_P256_BYTES: Final = 32


def sign_token(key: SigningKey, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
    """A token with these claims. `header`: what it says beside algorithm and type, such as the key's id."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    parts = ({"alg": algorithm, "typ": "JWT", **(header or {})}, claims)
    signed = ".".join(encode_base64url(msgspec.json.encode(part)) for part in parts)
    return f"{signed}.{encode_base64url(_sign(key, signed.encode()))}"


def read_p256_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """A private key on the curve P-256. Line breaks may be written as `\\n`. Raises ValueError."""
    key = _read_pem(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a private key on the curve P-256")
    return key


def read_rsa_key(pem: str) -> rsa.RSAPrivateKey:
    """A private RSA key of at least 2048 bits. Raises ValueError."""
    key = _read_pem(pem)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("not a private RSA key of at least 2048 bits")
    return key


def encode_base64url(content: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """The bytes of a text in base64url, with padding or without. Raises ValueError."""
    text = text.rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _read_pem(pem: str) -> object:
    try:
        return load_pem_private_key(pem.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        raise ValueError("not a private key as PEM without a password") from None


def _sign(key: SigningKey, content: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), SHA256())
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(SHA256())))
    return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")

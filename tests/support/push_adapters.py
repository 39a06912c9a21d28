"""What the tests of push adapters share: keys, contexts, messages, and the proof of a signed token."""

from __future__ import annotations

import asyncio
import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import HandoverResult, Message
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import Clock, ManualClock
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8"))
SECONDS = 1_800_000_000
NOW = SECONDS * 1_000_000
"""What the clocks of these tests say: microseconds since 1970."""
CONTENT = {
    "title": "Grüße",
    "body": "Es ist da",
    "link": "https://shop.example/o/7",
    "collapse_key": "order-7",
    "priority": "high",
    "ttl": "3600",
    "data": '{"order":"7"}',
}
PLAIN = {"title": "Grüße", "body": "Es ist da"}


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def p256_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def push_context(id: str, clock: Clock | None = None, timeout: float = 5.0, **settings: Any) -> AdapterContext:
    """What an adapter is created from."""
    section = ADAPTER_REGISTRY.declarations[id].settings.model_validate(settings)
    database = Database(create_async_engine("sqlite+aiosqlite://"), "sqlite")  # never connected to
    return AdapterContext(section, timeout, database, clock or ManualClock(NOW), LOOPBACK)


def push_message(id: str = "msg_1", **fields: Any) -> Message:
    return message(id, **{"channel": "push", "to": "device0token1", "content": CONTENT, **fields})


async def send_one(
    adapter: Adapter, sent: Message | None = None, guard: RecordingFirstByteGuard | None = None
) -> HandoverResult:
    """The result of one message."""
    async with asyncio.timeout(20):
        [result] = await adapter.send_batch([sent or push_message()], guard or RecordingFirstByteGuard())
    return result


def proven_claims(token: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[Any, Any]:
    """Header and claims of a token, whose signature is checked. Raises InvalidSignature."""
    header, claims, signature = token.split(".")
    signed, proof = f"{header}.{claims}".encode(), from_base64url(signature)
    if isinstance(key, rsa.RSAPrivateKey):
        key.public_key().verify(proof, signed, padding.PKCS1v15(), SHA256())
    else:
        assert len(proof) == 64
        r, s = (int.from_bytes(half, "big") for half in (proof[:32], proof[32:]))
        key.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    return json.loads(from_base64url(header)), json.loads(from_base64url(claims))


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

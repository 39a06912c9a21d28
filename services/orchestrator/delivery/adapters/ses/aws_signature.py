"""Signatures of requests to AWS, version 4: pure functions of a request, a time and an access key.

Written for what this adapter sends: POST without a query, to a path of unreserved characters, with the whole body in
memory. https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from schemas.times import Instant, to_datetime

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Who signs. `token`: of temporary keys."""

    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def sign_post(
    key: AccessKey, region: str, service: str, url: str, content_type: str, body: bytes, now: Instant
) -> Mapping[str, str]:
    """The headers that prove a POST to be of the key's owner and of now, within five minutes.

    `content_type` is signed and must be sent as it is. `url` has no query.
    """
    parts = urlsplit(url)
    moment = to_datetime(now).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": moment, **({} if key.token is None else {"x-amz-security-token": key.token})}
    signed = dict(sorted({"content-type": content_type, "host": _host(url), **added}.items()))
    names = ";".join(signed)
    headers = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in signed.items())
    path = quote(parts.path or "/", safe="/-_.~")
    request = "\n".join(("POST", path, "", headers, names, hashlib.sha256(body).hexdigest()))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = _digest(_derive_key(key.secret, moment[:8], region, service), text).hex()
    proof = f"{_ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**added, "authorization": proof}


def _derive_key(secret: str, day: str, region: str, service: str) -> bytes:
    derived = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        derived = _digest(derived, part)
    return derived


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _host(url: str) -> str:
    """The header Host as HTTP clients write it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return name if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{name}:{parts.port}"

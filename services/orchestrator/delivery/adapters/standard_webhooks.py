"""Standard Webhooks: how requests are signed, and how it is checked. Svix calls the headers `svix-...`."""

import base64
import hmac

from pydantic import SecretStr

from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.provider_receipts import TOLERANCE, check_age


def signing_key(secret: SecretStr) -> bytes:
    """The key in a Standard Webhooks secret. Raises ValueError."""
    prefix, _, text = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret is whsec_ and 24 to 64 bytes in base64")
    return key


def sign(key: bytes, message_id: str, seconds: int, body: bytes) -> str:
    """A signature of Standard Webhooks, version 1; the header holds one or several, with a blank between them."""
    digest = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def check_standard_signature(
    secret: SecretStr, request: ReceiptRequest, prefix: str, variable: str, second_secret: SecretStr | None = None
) -> None:
    """Raises ReceiptRefused unless one of the signatures is right and the request is of now.

    `prefix`: of the headers. `variable`: where the secret is set. `second_secret`: proves it as well. Each attempt is
    signed with a time of its own.
    """
    id, seconds = (request.headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp"))
    try:
        keys = [signing_key(each) for each in (secret, second_secret) if each is not None]
    except ValueError as error:
        raise ReceiptRefused(f"{variable}: {error}") from None
    if not (id and seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise ReceiptRefused(f"{prefix}-id must be there, and {prefix}-timestamp must be seconds since 1970")
    right = [sign(key, id, int(seconds), request.body).encode() for key in keys]
    given = [each.encode("utf-8", "replace") for each in request.headers.get(f"{prefix}-signature", "").split(" ")[:10]]
    if not any(hmac.compare_digest(one, each) for one in right for each in given):
        raise ReceiptRefused(f"{prefix}-signature does not fit the body: sign its bytes with {variable}")
    check_age(seconds, request.now, TOLERANCE, f"{prefix}-timestamp")

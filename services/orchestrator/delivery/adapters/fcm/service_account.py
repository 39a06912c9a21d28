"""The service account in whose name messages are sent: the JSON that Google lets you download, once."""

from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.orchestrator.delivery.adapters.signed_token import read_rsa_key

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
_Line = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,300}$")]
_Project = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9:.-]{1,64}$")]


class _Downloaded(msgspec.Struct):
    client_email: _Line
    private_key: str
    project_id: _Project
    private_key_id: _Line | None = None
    token_uri: _Line = TOKEN_URI


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who we are at Google, and for which project."""

    email: str
    key: RSAPrivateKey = field(repr=False)
    key_id: str | None
    project: str
    token_uri: str


def read_service_account(text: str) -> ServiceAccount:
    """The account of a JSON text. Raises ValueError, which does not repeat the text."""
    try:
        found = msgspec.json.decode(text.encode(), type=_Downloaded)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise ValueError(
            "not the JSON of a service account: it has client_email, private_key, project_id and token_uri"
        ) from None
    key = read_rsa_key(found.private_key)
    return ServiceAccount(found.client_email, key, found.private_key_id, found.project_id, found.token_uri)

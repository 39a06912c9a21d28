"""Settings that the adapters of providers of texts share."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

_URL_CHARACTERS: Final = re.compile(r"[A-Za-z0-9:/._~%-]+")


def _check_receipts_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and "_" not in parts.netloc and (parts.port or 443) > 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme != "https" or not _URL_CHARACTERS.fullmatch(url):
        raise ValueError("write the public https address of the receipts, without a user, a query and a _ in its host")
    return url


def _check_sender(sender: str) -> str:
    if any(map(str.isalpha, sender)) and len(sender) > 11:
        raise ValueError("the name of a sender has at most 11 characters")
    return sender


SenderId = Annotated[
    str,
    StringConstraints(pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|[0-9 &+_-]*[A-Za-z][A-Za-z0-9 &+_-]*)$"),
    AfterValidator(_check_sender),
]
"""A number, a short code, or a name of up to 11 characters with a letter."""
ReceiptsUrl = Annotated[str, AfterValidator(_check_receipts_url)]
"""Where a provider reaches `POST /v1/receipts/<adapter>` from outside."""

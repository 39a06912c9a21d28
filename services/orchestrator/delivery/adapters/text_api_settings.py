"""Settings that the adapters of providers of texts share."""

import re
from functools import lru_cache
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

from schemas.address_kinds import REGIONS, find_country
from schemas.message import Message
from schemas.vocabulary import Class

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
_SENDERS: Final = TypeAdapter(dict[str, SenderId])


@lru_cache(maxsize=8)
def _parse_senders(text: str) -> dict[str, str]:
    return _SENDERS.validate_json(text) if text else {}


def _check_senders(text: str) -> str:
    try:
        table = _parse_senders(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name in table:
        cls, _, country = name.rpartition("/")
        if name not in set(Class) and (country not in REGIONS or (cls and cls not in set(Class)) or name[:1] == "/"):
            raise ValueError(f"{name}: use {', '.join(Class)}, a country such as US, or both: marketing/US")
    return text


Senders = Annotated[str, AfterValidator(_check_senders)]
"""JSON, other senders by class, by country of the number, or by both."""


def choose_sender(senders: str, default: str | None, message: Message) -> str | None:
    """The sender of a message: that of its class in the country of its number, of the country, of the class, or of all.
    A country comes before a class, because its networks refuse senders of other kinds.
    """
    table = _parse_senders(senders)
    if not table:
        return default
    country = find_country(message.to)
    names = (f"{message.cls}/{country}", country, message.cls)
    return next((table[name] for name in names if name in table), default)


ReceiptsUrl = Annotated[str, AfterValidator(_check_receipts_url)]
"""Where a provider reaches `POST /v1/receipts/<adapter>` from outside."""

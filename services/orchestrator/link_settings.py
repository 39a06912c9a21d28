"""Links and pictures of our own in messages, by which clicks and opens are seen: `TACTFUL_TRACKED_LINKS__...`."""

from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from schemas.documents import did_you_mean
from schemas.vocabulary import Class
from services.kit.runtime.section import Section
from services.kit.runtime.settings import HttpUrl, StrongKey

OWN_LINKS: Final = "links"
"""Stands where receipts name the adapter, in those of clicks and opens that we see ourselves."""
MAX_BASE: Final = 200
"""Characters of the address that the links of messages begin with."""


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
        raise ValueError("the links of messages begin with https://")
    if parts.query or parts.fragment or parts.username or not url.isascii() or len(url) > MAX_BASE:
        raise ValueError(f"write host and path alone, at most {MAX_BASE} characters, as in https://links.shop.example")
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _check_classes(text: str) -> str:
    for each in _split(text):
        if each not in set(Class):
            raise ValueError(f"unknown class `{each[:40]}`{did_you_mean(each, list(Class))}")
    return text


class LinkSettings(Section):
    """Whether messages get links by which their clicks and opens are seen.

    `base_url`: what these links begin with, as customers reach this service; without it messages keep their own links.
    `key`: with which they are sealed; without it no link of an earlier message works. `previous_key`: still accepted,
    for as long as links sealed with it are to work. `classes`: of the messages that get them. `days`: for so long after
    it was written a link works. `machine_seconds`: what is fetched sooner after the handover was fetched by a machine.
    """

    base_url: Annotated[HttpUrl, AfterValidator(_check_base_url)] | None = None
    key: StrongKey | None = None
    previous_key: StrongKey | None = None
    classes: Annotated[str, AfterValidator(_check_classes)] = Class.MARKETING.value
    days: int = Field(default=180, ge=90, le=3_650)
    machine_seconds: int = Field(default=10, ge=0, le=3_600)

    @model_validator(mode="after")
    def _need_key(self) -> "LinkSettings":
        if self.key is None and (self.base_url is not None or self.previous_key is not None):
            raise ValueError("KEY is not set, and links cannot be sealed without it; `openssl rand -hex 32` makes one")
        return self

    @property
    def tracked_classes(self) -> frozenset[str]:
        """The classes of `classes`."""
        return frozenset(_split(self.classes))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are accepted; the first one seals."""
        return tuple(each.get_secret_value() for each in (self.key, self.previous_key) if each is not None)

"""Which adapters serve a channel: `TACTFUL_ADAPTERS__<CHANNEL>`, `TACTFUL_ACCOUNTS` and `TACTFUL_DISPATCH__RATES`.

An adapter has the name of its folder, and the settings `TACTFUL_<NAME>__...`. `TACTFUL_ACCOUNTS` adds further ones of
the same kinds, such as a second account at one provider, under names of their own.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field, SecretStr, StringConstraints, TypeAdapter, ValidationError, field_validator, model_validator

from schemas.adapter_registry import OFF
from schemas.vocabulary import Class
from services.kit.runtime.section import Section

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
AddressBeginning = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,60}$")]
MAX_ROUTES: Final = 20


class RouteSettings(Section):
    """One adapter of a channel, and which messages it gets.

    Its share of messages is its weight, out of the weights of all that may serve a message. With weight 0 it stands by:
    it serves only while no other can. With `classes`, `topics` or `countries` (of telephone numbers) it serves only
    messages that have one of each, and these before adapters without conditions. With `addresses` (how they begin) it
    gets the messages to these, which go to no other, and no more.
    """

    adapter: AdapterName
    weight: int = Field(default=1, ge=0, le=1_000)
    classes: frozenset[Class] = frozenset()
    topics: frozenset[str] = frozenset()
    countries: frozenset[CountryCode] = frozenset()
    addresses: frozenset[AddressBeginning] = frozenset()

    @property
    def has_conditions(self) -> bool:
        """Whether it serves some messages only."""
        return bool(self.classes or self.topics or self.countries)


_ROUTES: Final = TypeAdapter(Annotated[tuple[RouteSettings, ...], Field(min_length=1, max_length=MAX_ROUTES)])


@lru_cache(maxsize=64)
def parse_routes(text: str) -> tuple[RouteSettings, ...]:
    """The adapters of a channel: `off`, a name, names of which the first serves and the others stand by, or JSON.

    Raises ValueError with one line.
    """
    if text.strip() == OFF:
        return ()
    if not text.lstrip().startswith("["):
        names = [name.strip() for name in text.split(",")]
        items: Any = [{"adapter": name, "weight": int(place == 0)} for place, name in enumerate(names)]
        text = msgspec.json.encode(items).decode()
    try:
        routes = _ROUTES.validate_json(text)
    except ValidationError as error:
        raise ValueError(_first_line(error)) from None
    named = [route.adapter for route in routes]
    if len(set(named)) < len(named):
        raise ValueError("an adapter is named twice")
    if all(route.has_conditions for route in routes):
        raise ValueError("every adapter has conditions: add one without, so that every message has a way out")
    if not any(route.weight for route in routes if not route.has_conditions):
        raise ValueError("no adapter without conditions has a weight: give one of them 1")
    return routes


class AccountSettings(Section):
    """A further adapter of some kind: `adapter` is the kind, everything else are the settings of that kind."""

    adapter: str
    settings: Mapping[str, SecretStr] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        settings = {name: _as_text(value) for name, value in given.items() if name != "adapter"}
        return {"adapter": given.get("adapter"), "settings": settings}

    @field_validator("adapter", mode="before")
    @classmethod
    def _require_adapter(cls, adapter: object) -> object:
        if adapter is None:
            raise ValueError("which kind of adapter is it? Add `adapter`")
        return adapter


_ACCOUNTS: Final = TypeAdapter(dict[AdapterName, AccountSettings])


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@lru_cache(maxsize=8)
def _parse_accounts_text(text: str) -> Mapping[str, AccountSettings]:
    return _ACCOUNTS.validate_json(text)


def parse_accounts(text: SecretStr | None) -> Mapping[str, AccountSettings]:
    """The further adapters, by name. Raises ValueError with one line."""
    if text is None or not text.get_secret_value():
        return {}
    try:
        return _parse_accounts_text(text.get_secret_value())
    except ValidationError as error:
        raise ValueError(_first_line(error)) from None


@lru_cache(maxsize=8)
def parse_rates(text: str) -> Mapping[str, float]:
    """How many messages a second an adapter may get, by name: `ses=14, news=0.5`. Raises ValueError with one line."""
    rates: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([a-z][a-z0-9_]{0,39})\s*=\s*(\d{1,6}(?:\.\d{1,3})?)", item)
        if found is None or float(found[2]) == 0 or found[1] in rates:
            raise ValueError(f"`{item}`: write each adapter once, with messages a second above 0, as in `ses=14`")
        rates[found[1]] = float(found[2])
    return rates


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = "/".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]

"""Sign-in of people by the company's OpenID provider: `TACTFUL_OIDC__...`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from schemas.documents import FieldError, did_you_mean
from schemas.roles import Role, is_allowed
from services.kit.runtime.section import Section
from services.kit.runtime.settings import HttpUrl

CONSOLE_ACTION: Final = "decisions:read"
"""Who may do this may sign in to the console."""
_CONSOLE_ROLES: Final = [role.value for role in Role if is_allowed(role, CONSOLE_ACTION)]


def parse_role_mapping(text: str) -> dict[str, Role]:
    """Which value of the claim gives which role, in order: `staff=viewer, admins=admin`, or JSON where names hold
    commas. Raises ValueError.
    """
    if text.lstrip().startswith("{"):
        try:
            pairs = list(msgspec.json.decode(text, type=dict[str, str]).items())
        except msgspec.DecodeError:
            raise ValueError('write JSON such as {"CN=staff,OU=groups": "viewer"}') from None
    else:
        pairs = [_split_pair(each) for each in text.split(",") if each.strip()]
    mapping: dict[str, Role] = {}
    for value, role in pairs:
        if role not in _CONSOLE_ROLES:
            hint = did_you_mean(role, _CONSOLE_ROLES)
            raise ValueError(f"`{role[:40]}` is no role of the console; these are {', '.join(_CONSOLE_ROLES)}{hint}")
        if value in mapping:
            raise ValueError(f"`{value[:80]}` is given twice")
        mapping[value] = Role(role)
    return mapping


def _split_pair(text: str) -> tuple[str, str]:
    value, sign, role = text.rpartition("=")
    if not sign or not value.strip():
        raise ValueError(f"write `value=role` instead of `{text.strip()[:80]}`")
    return value.strip(), role.strip()


def _check_issuer(url: str) -> str:
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("write the issuer alone, such as https://login.example.org/realms/company")
    return url


def _check_mapping(text: str) -> str:
    parse_role_mapping(text)
    return text


class OidcSettings(Section):
    """How people sign in by the company's OpenID provider. Without `issuer` they sign in by key.

    `issuer`: exactly as the provider calls itself. `client_id`, `client_secret`: of Tactful at the provider; a public
    client has no secret. `scopes`: what is asked for. `roles`: which value of the claim `role_claim` gives which role;
    the first that a person has counts. `person_claim`: by which a person is named, as in `person` of their keys.
    `topics_claim`, `owners_claim`: lists that bound which campaigns a marketer may change. `session`: minutes after
    which the provider is asked again. `key_sign_in`: whether a key opens the console, too. `ca_file`: PEM, the
    authority that signed the provider's certificate, where it is not a public one.
    """

    issuer: Annotated[HttpUrl, AfterValidator(_check_issuer)] | None = None
    client_id: str = ""
    client_secret: SecretStr | None = None
    scopes: str = "openid profile"
    role_claim: str = "groups"
    roles: Annotated[str, AfterValidator(_check_mapping)] = ""
    person_claim: str = "preferred_username"
    topics_claim: str = ""
    owners_claim: str = ""
    session: int = Field(default=60, ge=5, le=720)
    key_sign_in: bool = True
    ca_file: Path | None = None

    @field_validator("roles", mode="before")
    @classmethod
    def _accept_tables(cls, roles: object) -> object:
        """Takes a table of a file as well as text in a variable."""
        return msgspec.json.encode(roles).decode() if isinstance(roles, Mapping) else roles

    @model_validator(mode="after")
    def _check_whole(self) -> "OidcSettings":
        if self.issuer is None:
            if not self.key_sign_in:
                raise FieldError("key_sign_in", "needs TACTFUL_OIDC__ISSUER; without both nobody could sign in")
            return self
        for name in ("client_id", "roles", "role_claim", "person_claim"):
            if not getattr(self, name):
                raise FieldError("issuer", f"needs TACTFUL_OIDC__{name.upper()} (docs/access.md)")
        if "openid" not in self.scopes.split():
            raise FieldError("scopes", "begin with `openid`, without which there is no ID token")
        return self

    def role_mapping(self) -> dict[str, Role]:
        """Which value of `role_claim` gives which role, in order."""
        return parse_role_mapping(self.roles)


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """The value of a claim; a name with dots that is none of a claim leads into one: `realm_access.roles`."""
    if not name or name in claims:
        return claims.get(name)
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found

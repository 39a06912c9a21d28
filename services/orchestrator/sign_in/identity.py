"""Who an ID token says has signed in: which person, with which role, and which campaigns they may change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.campaign_scope import MAX_SCOPE, SCOPED_ROLE, CampaignScope
from schemas.key_names import describe_bad_name
from schemas.roles import Role
from services.kit.errors import Forbidden
from services.orchestrator.oidc_settings import OidcSettings, find_claim

MAX_NAME: Final = 200
_MAX_VALUES: Final = 2000
"""Values of a claim that are looked at."""


class NoRole(Forbidden):
    """No value of the role claim gives a role here."""

    default_code = "no_role"


class NoName(Forbidden):
    """The claim that names the person is missing, or cannot be the name of a person."""

    default_code = "no_name"


class NoScope(Forbidden):
    """A claim that bounds a marketer's campaigns is missing, empty or too long: that must not mean "all"."""

    default_code = "no_scope"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at a provider. `subject`: who it is for good; `name` may change there. `granted_by`: the value of the
    role claim that gives the role.
    """

    issuer: str
    subject: str
    name: str
    role: Role
    granted_by: str
    scope: CampaignScope


def read_identity(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """Who has signed in. `claims`: of a checked ID token. Raises NoName, NoRole, NoScope."""
    name = find_claim(claims, settings.person_claim)
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or describe_bad_name(name) is not None:
        raise NoName(f"the claim `{settings.person_claim}` holds no name of a person")
    values = _texts(find_claim(claims, settings.role_claim))
    for value, role in settings.role_mapping().items():
        if value in values:
            scope = _read_scope(claims, settings) if role is SCOPED_ROLE else CampaignScope()
            return Identity(str(claims["iss"]), str(claims["sub"]), name, role, value, scope)
    raise NoRole(f"no value of the claim `{settings.role_claim}` gives a role")


def _read_scope(claims: Mapping[str, Any], settings: OidcSettings) -> CampaignScope:
    return CampaignScope(_scope_values(claims, settings.topics_claim), _scope_values(claims, settings.owners_claim))


def _scope_values(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The values of a claim that bounds; nothing where none is configured. A configured one must have values."""
    if not claim:
        return ()
    values = tuple(sorted(_texts(find_claim(claims, claim))))
    if not 0 < len(values) <= MAX_SCOPE or any(len(each) > MAX_NAME for each in values):
        raise NoScope(f"the claim `{claim}` must hold 1 to {MAX_SCOPE} values for a {SCOPED_ROLE}")
    return values


def _texts(found: Any) -> set[str]:
    """The texts of a claim: a list, or one text with blanks between its values."""
    values = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return {each for each in values[:_MAX_VALUES] if isinstance(each, str) and each}

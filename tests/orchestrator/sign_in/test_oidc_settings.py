"""Settings of the company's sign-in: what is refused at start, and how roles are read."""

import pytest
from pydantic import ValidationError

from schemas.roles import Role
from services.kit.errors import Forbidden
from services.orchestrator.oidc_settings import OidcSettings, find_claim, parse_role_mapping
from services.orchestrator.sign_in.identity import read_identity

WHOLE = {"issuer": "https://login.example.org/company", "client_id": "tactful", "roles": "makers=marketer"}
CLAIMS = {"iss": "https://login.example.org/company", "sub": "s-1", "preferred_username": "ada", "groups": ["makers"]}


def test_a_mapping_keeps_its_order_and_names_may_hold_anything() -> None:
    assert list(parse_role_mapping(" b=viewer, a = admin ,")) == ["b", "a"]
    assert parse_role_mapping("CN=x=viewer") == {"CN=x": Role.VIEWER}
    assert parse_role_mapping('{"CN=crm,OU=x": "marketer"}') == {"CN=crm,OU=x": Role.MARKETER}
    assert OidcSettings.model_validate({"roles": {"a,b": "viewer"}}).role_mapping() == {"a,b": Role.VIEWER}


@pytest.mark.parametrize("text", ["staff", "=viewer", "a=boss", "a=publisher", "a=connector", "a=viewer,a=admin", "{"])
def test_a_wrong_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_role_mapping(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "login.example.org"},
        {"issuer": "https://login.example.org/?realm=x"},
        {"client_id": ""},
        {"roles": ""},
        {"person_claim": ""},
        {"scopes": "profile"},
        {"session": 4},
        {"session": 721},
        {"issuer": None, "key_sign_in": False},
    ],
    ids=str,
)
def test_half_a_sign_in_is_refused(changes: dict[str, object]) -> None:
    OidcSettings.model_validate(WHOLE)
    with pytest.raises(ValidationError):
        OidcSettings.model_validate(WHOLE | changes)


def test_a_claim_may_lie_in_another_one() -> None:
    claims = {"realm_access": {"roles": ["x"]}, "https://example.org/roles": ["y"], "text": "a"}
    assert find_claim(claims, "realm_access.roles") == ["x"]
    assert find_claim(claims, "https://example.org/roles") == ["y"]
    assert find_claim(claims, "text.roles") is None and find_claim(claims, "") is None


def test_the_first_role_of_the_settings_counts() -> None:
    settings = OidcSettings.model_validate(WHOLE | {"roles": "staff=viewer, makers=marketer"})
    both = read_identity(CLAIMS | {"groups": ["makers", "staff"]}, settings)
    assert (both.role, both.granted_by) == (Role.VIEWER, "staff")
    assert read_identity(CLAIMS | {"groups": "makers others"}, settings).role is Role.MARKETER


@pytest.mark.parametrize("teams", [None, [], "", [7], [f"t{n}" for n in range(51)], {"shop": True}], ids=repr)
def test_a_scope_that_is_configured_and_not_told_is_no_scope_of_all(teams: object) -> None:
    settings = OidcSettings.model_validate(WHOLE | {"owners_claim": "teams", "roles": "makers=marketer, staff=viewer"})
    assert read_identity(CLAIMS | {"teams": ["shop"]}, settings).scope.owners == ("shop",)
    with pytest.raises(Forbidden) as caught:
        read_identity(CLAIMS | {"teams": teams}, settings)
    assert caught.value.code == "no_scope"
    assert read_identity(CLAIMS | {"groups": ["staff"], "teams": teams}, settings).scope.is_everything

"""`tactful people`, scopes in `tactful keys`, and the check of the sign-in in `tactful doctor`."""

from pathlib import Path

import pytest

from services.kit.runtime.clock import SystemClock
from tests.support.command_line import RunningProduct, run
from tests.support.openid_provider import CLIENT_ID, running_provider

pytestmark = pytest.mark.wired


def test_people_are_listed_and_one_who_is_not_there_is_not_found(tactful: RunningProduct) -> None:
    assert "nobody has signed in" in tactful.run("people", "list").screen
    for action in ("disable", "enable", "release"):
        assert tactful.run("people", action, "person_0").code == 3


def test_a_key_is_made_with_its_scope(tactful: RunningProduct) -> None:
    given = ("--role", "marketer", "--topic", "news", "--topic", "offers", "--owner", "shop")
    made = tactful.run("keys", "create", "scoped", *given, "-o", "json").data
    assert (made["topics"], made["owners"]) == (["news", "offers"], ["shop"])
    listed = {each["name"]: each for each in tactful.run("keys", "list", "-o", "json").data}
    assert listed["scoped"]["owners"] == ["shop"]
    refused = tactful.run("keys", "create", "unscoped", "--role", "viewer", "--topic", "news")
    assert refused.code == 1 and "only keys of the role marketer" in refused.err


def finding(settings: dict[str, str]) -> dict[str, str]:
    done = run("doctor", "-o", "json", given=settings)
    return next(each for each in done.data if each["check"] == "sign-in")


def test_doctor_asks_the_provider(tmp_path: Path) -> None:
    with running_provider(SystemClock().now) as provider:
        settings = {
            "TACTFUL_DATA_DIR": str(tmp_path),
            "TACTFUL_OIDC__ISSUER": provider.issuer,
            "TACTFUL_OIDC__CLIENT_ID": CLIENT_ID,
            "TACTFUL_OIDC__ROLES": "staff=viewer",
        }
        allowed = settings | {"TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8"}
        well = finding(allowed)
        assert well["state"] == "green" and "1 signing keys; roles: viewer; keys open the console" in well["detail"]
        refused = finding(settings)
        assert refused["state"] == "red" and "TACTFUL_OUTBOUND__NETWORKS" in refused["mend"]
        provider.keys = []
        assert "publishes no key" in finding(allowed)["detail"]
        other = finding(allowed | {"TACTFUL_OIDC__ISSUER": f"{provider.issuer}/"})
        assert other["state"] == "red" and "set TACTFUL_OIDC__ISSUER to exactly this" in other["detail"]

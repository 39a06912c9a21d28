"""`tactful keys`."""

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired


def test_a_key_is_made_shown_once_and_works_until_it_is_revoked(tactful: RunningProduct) -> None:
    made = tactful.run("keys", "create", "lea", "--role", "viewer", "-o", "json")
    assert made.code == 0 and "not shown again" in made.err
    key, key_id = made.data["key"], made.data["id"]
    assert tactful.run("campaigns", "list", TACTFUL_ADMIN_KEY=key).code == 0
    listed = tactful.run("keys", "list")
    assert key not in listed.out and key_id in listed.out
    assert tactful.run("keys", "revoke", key_id).code == 0
    refused = tactful.run("campaigns", "list", TACTFUL_ADMIN_KEY=key)
    assert refused.code == 1 and "(unauthorised)" in refused.err and "fix: set TACTFUL_ADMIN_KEY" in refused.err


def test_what_a_role_may_not_do_is_refused_by_policy(tactful: RunningProduct) -> None:
    key = tactful.run("keys", "create", "tom", "--role", "viewer", "-o", "json").data["key"]
    done = tactful.run("keys", "create", "eve", "--role", "admin", TACTFUL_ADMIN_KEY=key)
    assert (done.code, done.out) == (4, "")
    assert "(forbidden)" in done.err


def test_an_unknown_role_is_wrong_usage(tactful: RunningProduct) -> None:
    assert tactful.run("keys", "create", "eve", "--role", "boss").code == 2


def test_a_key_that_is_not_there_is_not_found(tactful: RunningProduct) -> None:
    assert tactful.run("keys", "revoke", "key_0").code == 3

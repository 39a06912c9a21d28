"""The table of roles and the routes of the product agree: no grant that nothing asks for, no route that nobody may."""

from schemas.audited_actions import FLOW_ACTIONS, UNAUDITED_LOOKS
from schemas.roles import ALLOWED_ACTIONS, Role
from services.development.api_reference import describe_api

ADMIN_ALONE = {"keys:read", "keys:write", "clock:read", "clock:write", "demo:read", "demo:write"}
"""Actions of routes that no other role may call."""
OPEN_PAGES = {
    *(("GET", "/console"), ("GET", "/console/static/{name}"), ("GET", "/console/{path}")),  # the last one finds nothing
    *(("GET", "/console/sign-in"), ("POST", "/console/sign-in"), ("POST", "/console/sign-out")),
    *(("GET", "/console/sign-in/begin"), ("GET", "/console/sign-in/callback")),
}
"""What the console shows to strangers."""


def test_every_grant_is_asked_for_by_a_route_and_every_route_asks_for_a_grant() -> None:
    rules = [rule for rule in describe_api().access.values() if rule.kind == "role"]
    guarded = {rule.action for rule in rules}
    asked = guarded.union(*(rule.asks_also for rule in rules), {rule.shows_more for rule in rules} - {""})
    granted = {action for role in Role for action in ALLOWED_ACTIONS[role]} - {"*"}
    assert granted - asked == set(), "no route asks for these"
    assert guarded - granted - ADMIN_ALONE == set(), "no role but admin may call these routes"
    assert ADMIN_ALONE & granted == set()
    assert {*FLOW_ACTIONS, *UNAUDITED_LOOKS} <= asked | ADMIN_ALONE, "the audit names actions that nothing asks for"


def test_pages_that_strangers_may_open_are_those_of_the_sign_in() -> None:
    access = describe_api().access
    found = {(method, path) for (method, path), rule in access.items() if rule.kind == "public" and "/console" in path}
    assert found == OPEN_PAGES

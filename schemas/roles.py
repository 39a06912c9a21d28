"""Roles and the actions that each may do. What is not listed is refused; `admin` may do everything.

`publisher` is for programs that say what happened; `connector` for those that also say what customers chose, which
contacts other tools made, and which situations began.
"""

from enum import StrEnum


class Role(StrEnum):
    """The role of an API key, or of a person who signs in with one."""

    PUBLISHER = "publisher"
    CONNECTOR = "connector"
    VIEWER = "viewer"
    MARKETER = "marketer"
    APPROVER = "approver"
    AGENT = "agent"
    OPERATOR = "operator"
    PRIVACY = "privacy"
    AUDITOR = "auditor"
    ADMIN = "admin"


_READ_ACTIONS = frozenset(
    {"campaigns:read", "policy:read", "decisions:read", "messages:read", "holds:read", "why:read", "events:read"}
    | {"simulations:read", "adapters:read", "customers:list"}
)
_ONE_CUSTOMER = frozenset({"simulations:read", "customers:list"})
"""What agents may not do: they see the customers whom they look up, one by one."""
_CUSTOMER_ACTIONS = frozenset(
    {"customers:read", "preferences:read", "suppressions:read", "contacts:read", "situations:read", "sandbox:read"}
)
"""What shows customers' data. Whoever has one of them has `customers:read`, but for `suppressions:read`, which shows
addresses masked."""

ALLOWED_ACTIONS: dict[Role, frozenset[str]] = {
    Role.PUBLISHER: frozenset({"events:write", "events:read"}),
    Role.CONNECTOR: frozenset({"events:write", "events:read", "preferences:write", "situations:write"})
    | {"contacts:write"},
    Role.VIEWER: _READ_ACTIONS,
    Role.MARKETER: _READ_ACTIONS
    | {"campaigns:write", "campaigns:submit", "campaigns:pause", "campaigns:activate", "policy:write", "policy:submit"}
    | {"campaigns:shadow", "preview:write", "simulations:write"},
    Role.APPROVER: _READ_ACTIONS
    | {"campaigns:approve", "campaigns:activate", "campaigns:pause", "policy:approve", "policy:activate"}
    | {"campaigns:shadow", "policy:shadow"},
    Role.AGENT: (_READ_ACTIONS - _ONE_CUSTOMER)
    | _CUSTOMER_ACTIONS
    | {"events:write", "preferences:write", "situations:write", "contacts:write", "replies:read", "replies:decide"}
    | {"customers:serve"},
    Role.OPERATOR: _READ_ACTIONS
    | {"holds:write", "campaigns:pause", "campaigns:stop", "dead_letters:read", "dead_letters:write"}
    | {"suppressions:read", "violations:read", "events:write", "adapters:test", "replies:read"}
    | {"address_report:read"},
    Role.PRIVACY: _READ_ACTIONS
    | _CUSTOMER_ACTIONS
    | {"events:write", "preferences:write", "suppressions:write", "suppressions:delete", "customers:erase"}
    | {"replies:read", "replies:decide", "audit_log:read"}
    | {"suppressions:export", "customers:export", "customers:import", "address_report:read"},
    Role.AUDITOR: _READ_ACTIONS
    | _CUSTOMER_ACTIONS
    | {"dead_letters:read", "violations:read", "replies:read"}
    | {"audit_log:read"},
    Role.ADMIN: frozenset({"*"}),
}


def is_allowed(role: Role, action: str) -> bool:
    """Whether the role may do the action."""
    allowed = ALLOWED_ACTIONS.get(role, frozenset())
    return action in allowed or "*" in allowed

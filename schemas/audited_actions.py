"""Which requests the audit log holds: every change, and every look at what is known of customers.

What is not named here is audited, so that a new action is never forgotten.

Programs send events, contacts, choices and situations at the pace of the product. Each of these is in a log, a ledger
or a history of its own already, with its sender, so the audit log leaves these actions of programs out: its entries
follow one another, and would slow the product down. Whatever else a program does is audited, and so is all that a
person does.
"""

from typing import Final

UNAUDITED_LOOKS: Final = frozenset(
    {"campaigns:read", "policy:read", "holds:read", "adapters:read", "simulations:read", "keys:read", "clock:read"}
    | {"demo:read"}
)
"""Looks that show nothing of a customer, whatever the role."""
FLOW_ACTIONS: Final = frozenset(
    {"events:write", "events:read", "contacts:write", "preferences:write", "situations:write"}
)
"""What programs do at the pace of the product."""

FORBIDDING_ROUTES: Final = frozenset(
    {("POST", "/v1/preferences/{customer}/optout"), ("POST", "/v1/suppressions"), ("POST", "/v1/holds")}
)
"""What only ever forbids messages. It is done even while the audit log cannot be written: nobody who says no is sent
away, and an incident is stopped first. The service's own history says who did it, and its log that an entry is missing.
"""


def is_audited(action: str, *, by_program: bool, shows_customers: bool = False) -> bool:
    """Whether a request is recorded. `shows_customers`: its answer shows more than the action says, to this role."""
    if by_program and action in FLOW_ACTIONS:
        return False
    return shows_customers or action not in UNAUDITED_LOOKS

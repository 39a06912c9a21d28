"""Which events may end a situation, and so wake what it parked."""

from services.orchestrator.policy.compiled_policy import Policy

CLOSED = "tactful.situation.closed"


def ending_types(policy: Policy) -> frozenset[str]:
    """The event types that may close a situation under this policy."""
    return frozenset({CLOSED, *(trigger.event for kind in policy.document.situations for trigger in kind.closes)})

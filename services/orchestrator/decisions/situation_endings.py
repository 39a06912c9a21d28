"""Which events may end a situation, and so wake what it parked."""

from services.orchestrator.policy.compiled_policy import CompiledPolicy

SITUATION_CLOSED_TYPE = "tactful.situation.closed"


def closing_event_types(policy: CompiledPolicy) -> frozenset[str]:
    """The event types that may close a situation under this policy."""
    return frozenset(
        {SITUATION_CLOSED_TYPE, *(trigger.event for kind in policy.document.situations for trigger in kind.closes)}
    )

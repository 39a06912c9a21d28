"""Asks a facts service what has changed since facts were read; for the orchestrator's recheck."""

from collections.abc import Iterable
from typing import Any

from schemas.service_api import ChangesRequest, LogPositions
from services.clients.facts_endpoints import FactsApi
from services.kit.db.recent_changes import KEY_BYTES, ChangePosition
from services.kit.errors import Permanent

ChangedKeys = frozenset[bytes] | None
"""The `change_key` of what may have changed; None: anything may have."""


async def ask_for_changes(
    service: FactsApi[Any, object], positions: LogPositions, since: ChangePosition
) -> ChangedKeys:
    """What has changed since a position, once the log is applied up to `positions`. Raises Transient.

    Anything may have where the service refuses the question, as one of an earlier version does.
    """
    try:
        answer = await service.answer_changes(ChangesRequest(positions, since))
    except Permanent:
        return None
    if answer.keys is None or len(answer.keys) % KEY_BYTES:
        return None
    return frozenset(answer.keys[start : start + KEY_BYTES] for start in range(0, len(answer.keys), KEY_BYTES))


def earliest(positions: Iterable[ChangePosition | None]) -> ChangePosition | None:
    """The position since which to ask for the changes since all of these; None where one question cannot tell."""
    found = set(positions)
    if None in found or len({each[0] for each in found if each is not None}) != 1:
        return None
    return min(each for each in found if each is not None)

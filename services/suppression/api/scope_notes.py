"""What the answer to a hold or a do-not-contact entry says of names in its scope that nothing has.

Such a document is taken: a hold may be placed before its campaign is registered, and an incident must not wait for a
correct spelling. But it stops nothing, so the answer says so.
"""

import asyncio
from typing import Final, Protocol

from typing_extensions import TypedDict

from schemas.service_api import ScopeNames, UnknownScopeName, UnknownScopeNames
from services.kit.errors import TactfulError
from services.kit.observability.logs import log_error

MAX_SECONDS: Final = 2.0
"""The answer of somebody who stops messages does not wait longer for its notes."""
_NOUNS: Final = {"topics": "the active policy has no topic", "campaigns": "there is no campaign"}


class ScopeNote(TypedDict):
    """A part of an accepted document that has no effect."""

    pointer: str
    code: str
    detail: str


class NamesApi(Protocol):
    """What notes ask of the orchestrator, which has campaigns and policy: see `OrchestratorClient`."""

    async def unknown_names(self, names: ScopeNames) -> UnknownScopeNames:
        """Which of these names nothing has. Raises Transient, Permanent."""


async def note_unknown_names(orchestrator: NamesApi, names: ScopeNames) -> list[ScopeNote]:
    """A note for each name that nothing has; none when the orchestrator cannot be asked."""
    if not names.topics and not names.campaigns:
        return []
    try:
        async with asyncio.timeout(MAX_SECONDS):
            answer = await orchestrator.unknown_names(names)
    except (TimeoutError, TactfulError) as error:
        log_error("scope_not_checked", error, "warning")
        return []
    return [_note(unknown) for unknown in answer.names]


def _note(unknown: UnknownScopeName) -> ScopeNote:
    detail = f"{_NOUNS[unknown.field]} `{unknown.name}`"
    if unknown.nearest is not None:
        detail += f", did you mean `{unknown.nearest}`?"
    return {"pointer": f"/scope/{unknown.field}/{unknown.index}", "code": "no_effect", "detail": detail}

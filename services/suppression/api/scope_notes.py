"""What the answer to a hold or a do-not-contact entry says of names in its scope that nothing has.

Such a document is taken: a hold may be placed before its campaign is registered, and an incident must not wait for a
correct spelling. But it stops nothing, so the answer says so.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from typing_extensions import TypedDict

from schemas.service_api import ScopeNames, UnknownScopeName, UnknownScopeNames
from services.kit.errors import TactfulError
from services.kit.observability.logs import log_error

MAX_SECONDS: Final = 2.0
"""The answer of somebody who stops messages does not wait longer for its notes."""
MAX_NAMES: Final = 100
"""For each unknown name the orchestrator looks for a similar one, and an import can have ten thousand."""
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
    (notes,) = await note_unknown_names_of_all(orchestrator, [names])
    return notes


async def note_unknown_names_of_all(orchestrator: NamesApi, scopes: Sequence[ScopeNames]) -> list[list[ScopeNote]]:
    """The notes of each scope; the orchestrator is asked once, about the first `MAX_NAMES` names of either kind."""
    topics = tuple(dict.fromkeys(name for scope in scopes for name in scope.topics))[:MAX_NAMES]
    campaigns = tuple(dict.fromkeys(name for scope in scopes for name in scope.campaigns))[:MAX_NAMES]
    notes: list[list[ScopeNote]] = [[] for _ in scopes]
    if not topics and not campaigns:
        return notes
    try:
        async with asyncio.timeout(MAX_SECONDS):
            answer = await orchestrator.unknown_names(ScopeNames(topics, campaigns))
    except (TimeoutError, TactfulError) as error:
        log_error("scope_not_checked", error, "warning")
        return notes
    unknown = {(each.field, each.name): each for each in answer.names}
    for found, scope in zip(notes, scopes, strict=True):
        for field, names in (("campaigns", scope.campaigns), ("topics", scope.topics)):
            found += (
                {"pointer": f"/scope/{field}/{index}", "code": "no_effect", "detail": _detail(unknown[field, name])}
                for index, name in enumerate(names)
                if (field, name) in unknown
            )
    return notes


def _detail(unknown: UnknownScopeName) -> str:
    similar = "" if unknown.nearest is None else f", did you mean `{unknown.nearest}`?"
    return f"{_NOUNS[unknown.field]} `{unknown.name}`{similar}"

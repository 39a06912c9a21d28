"""HTTP client of the dead letters of another service, for the orchestrator."""

import httpx

from schemas.dead_letters import (
    ClosingResult,
    DeadLetterAnswer,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterRequest,
    DiscardRequest,
    RedriveRequest,
    dead_letter_paths,
)
from services.kit.http import internal_api

REDRIVE_TIMEOUT = 30.0
"""Seconds for the letters of one call, each of which may wait for the fence."""


class DeadLetterClient:
    """Calls over HTTP, or in process through an ASGI transport.

    Every method raises Transient when the service cannot answer now, Permanent when it refuses: see
    services/kit/http/internal_api.py.
    """

    def __init__(self, http: httpx.AsyncClient, service_key: str, service: str) -> None:
        """`http` has the base URL."""
        self._http = http
        self._service_key = service_key
        self._paths = dead_letter_paths(service)

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Letters that match, and the count of all open ones."""
        return await internal_api.call(self._http, self._paths["list"], query, DeadLetterPage, key=self._service_key)

    async def look_up(self, request: DeadLetterRequest) -> DeadLetterAnswer:
        """One letter."""
        return await internal_api.call(self._http, self._paths["get"], request, DeadLetterAnswer, key=self._service_key)

    async def redrive(self, request: RedriveRequest) -> tuple[ClosingResult, ...]:
        """Applies the records of these letters again; repeatable within a job."""
        return await internal_api.call(
            self._http,
            self._paths["redrive"],
            request,
            tuple[ClosingResult, ...],
            key=self._service_key,
            timeout=REDRIVE_TIMEOUT,
        )

    async def discard(self, request: DiscardRequest) -> ClosingResult:
        """Closes a letter whose record will not be applied."""
        return await internal_api.call(
            self._http, self._paths["discard"], request, ClosingResult, key=self._service_key
        )

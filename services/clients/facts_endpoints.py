"""Where the clients of the facts services ask for facts: over HTTP, or the service itself where it is in this process.

In one process an answer needs no bytes, no headers and no routes, which took a quarter of what a question costs.
"""

from collections.abc import Awaitable
from typing import Any, Generic, Protocol, TypeVar

import httpx

from schemas.service_api import ChangesRequest, ChangesResponse
from services.kit.errors import Permanent, TactfulError
from services.kit.http import internal_api
from services.kit.observability.logs import log_error

T = TypeVar("T")
Question = TypeVar("Question", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class FactsApi(Protocol[Question, Answer]):
    """What a facts service tells of the present. Raises Transient or Permanent."""

    async def answer_facts(self, request: Question) -> Answer:
        """The facts, and since when to ask for changes."""

    async def answer_changes(self, request: ChangesRequest) -> ChangesResponse:
        """What has changed since."""


class FactsOverHttp(Generic[Question, Answer]):
    """A facts service behind a connection. `form`: what its answer is decoded as."""

    def __init__(
        self, http: httpx.AsyncClient, service_key: str, facts_path: str, changes_path: str, form: type[Any]
    ) -> None:
        self._http = http
        self._service_key = service_key
        self._facts_path = facts_path
        self._changes_path = changes_path
        self._form = form

    async def answer_facts(self, request: Question) -> Answer:
        """Ask for facts."""
        answer: Answer = await internal_api.call(
            self._http, self._facts_path, request, self._form, key=self._service_key
        )
        return answer

    async def answer_changes(self, request: ChangesRequest) -> ChangesResponse:
        """Ask what has changed."""
        return await internal_api.call(self._http, self._changes_path, request, ChangesResponse, key=self._service_key)


class FactsInProcess(Generic[Question, Answer]):
    """A facts service in this process.

    A fault of the service must not end who asks, as it does not over HTTP, where it is an answer with status 500.
    """

    def __init__(self, service: FactsApi[Question, Answer]) -> None:
        self._service = service

    async def answer_facts(self, request: Question) -> Answer:
        """Ask for facts."""
        return await _sort_faults(self._service.answer_facts(request))

    async def answer_changes(self, request: ChangesRequest) -> ChangesResponse:
        """Ask what has changed."""
        return await _sort_faults(self._service.answer_changes(request))


async def _sort_faults(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except TactfulError:
        raise
    except Exception as error:
        log_error("facts_failed", error)
        raise Permanent(f"facts cannot be told ({type(error).__name__}): see the log", code="internal") from error

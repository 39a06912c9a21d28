"""The dead letters of all three services as one list, newest first. A service that does not answer is named."""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas.dead_letters import (
    LETTER_SERVICES,
    ClosingResult,
    DeadLetterAnswer,
    DeadLetterItem,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterRequest,
    DiscardRequest,
    RecordEffect,
)
from schemas.times import Instant, format_instant
from services.kit.errors import NotFound, Permanent, TactfulError, Transient
from services.kit.http.dead_letter_routes import DeadLetterSource

T = TypeVar("T")

LIST_TIMEOUT = 4.0
"""Seconds that a list waits for a service. The others' letters are shown then, and that one is named."""
_LAST_NUMBER = 2**62

PageStart = tuple[Instant, str, int]
"""Time, service and number of the last letter of the page before."""


class ServiceLetters(NamedTuple):
    """What one service says of its letters: how many are open, the time of the oldest; or why it does not answer."""

    service: str
    open: int | None
    oldest: Instant | None
    problem: str | None = None

    def to_document(self) -> dict[str, Any]:
        """The public form."""
        oldest = None if self.oldest is None else format_instant(self.oldest)
        answers = self.problem is None
        return {
            "service": self.service,
            "answers": answers,
            "open": self.open,
            "oldest": oldest,
            "detail": self.problem,
        }


class LetterPage(NamedTuple):
    """A page of the list, where the next one begins, and every service that was asked."""

    items: Sequence[DeadLetterItem]
    next: PageStart | None
    services: Sequence[ServiceLetters]


class DeadLetterDirectory:
    """Asks the services for their letters. An id names its service: `preference-12`."""

    def __init__(self, sources: Mapping[str, DeadLetterSource]) -> None:
        self._sources = sources

    async def page(
        self, query: DeadLetterQuery, service: str | None = None, after: PageStart | None = None
    ) -> LetterPage:
        """One page of the letters that match, of one service or all. Never raises for a service that is down."""
        names = [name for name in LETTER_SERVICES if service in (None, name)]
        pages = await asyncio.gather(*(self._list_of(name, query, after) for name in names))
        items = [item for page in pages if isinstance(page, DeadLetterPage) for item in page.items]
        items.sort(key=lambda item: (-item.at, LETTER_SERVICES.index(item.service), -item.number))
        last = items[query.limit - 1] if len(items) > query.limit else None
        found = [
            ServiceLetters(name, page.open, page.oldest)
            if isinstance(page, DeadLetterPage)
            else ServiceLetters(name, None, None, page)
            for name, page in zip(names, pages, strict=True)
        ]
        following = None if last is None else (last.at, last.service, last.number)
        return LetterPage(items[: query.limit], following, found)

    async def count_open(self) -> Sequence[ServiceLetters]:
        """How many letters are open in each service."""
        return (await self.page(DeadLetterQuery(1, state="open"))).services

    async def look_up(self, id: str, *, dry_run: bool = False) -> DeadLetterAnswer:
        """One letter. Raises NotFound, and Transient while its service does not answer."""
        service = self.service_of(id)
        answer = await _name_service(service, self._sources[service].look_up(DeadLetterRequest(id, dry_run)))
        if answer.item is None:
            raise _unknown(id)
        return answer

    async def try_letter(self, item: DeadLetterItem) -> tuple[RecordEffect | None, str | None]:
        """What the record of an open letter would do now, or why nobody can tell. Both None for a closed letter."""
        if item.state != "open":
            return None, None
        try:
            return (await self.look_up(item.id, dry_run=True)).dry_run, None
        except TactfulError as error:
            return None, error.detail

    async def discard_letter(self, id: str, by: str, reason: str) -> ClosingResult:
        """Closes a letter without applying its record. Raises NotFound, Transient."""
        service = self.service_of(id)
        result = await _name_service(service, self._sources[service].discard(DiscardRequest(id, by, reason)))
        if result.state is None:
            raise _unknown(id)
        return result

    def source(self, service: str) -> DeadLetterSource:
        """The letters of one service."""
        return self._sources[service]

    def service_of(self, id: str) -> str:
        """The service that an id names. Raises NotFound."""
        service, _, number = id.rpartition("-")
        if service not in self._sources or not re.fullmatch("[1-9][0-9]*", number):
            raise _unknown(id)
        return service

    async def _list_of(self, name: str, query: DeadLetterQuery, after: PageStart | None) -> DeadLetterPage | str:
        query = msgspec.structs.replace(query, limit=query.limit + 1, before=_start_in(name, after))
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                return await self._sources[name].page(query)
        except TimeoutError:
            return f"{name} has not answered within {LIST_TIMEOUT:g} s"
        except TactfulError as error:
            return name_service(name, error)


def name_service(service: str, error: TactfulError) -> str:
    """What a service that could not answer has said; the error of a call names the one that does not answer already."""
    if any(error.detail.startswith(f"{other} does not answer") for other in LETTER_SERVICES if other != service):
        return f"{service} cannot go on: {error.detail}"
    words = f"{service} does not answer: "
    return error.detail if error.detail.startswith(words) else f"{words}{error.detail}"


def _start_in(service: str, after: PageStart | None) -> tuple[Instant, int] | None:
    """Where one service's letters go on after the last letter of a page, which may be another service's."""
    if after is None:
        return None
    at, last_service, number = after
    if service == last_service:
        return at, number
    later_in_order = LETTER_SERVICES.index(service) > LETTER_SERVICES.index(last_service)
    return at, _LAST_NUMBER if later_in_order else 0


async def _name_service(service: str, answer: Awaitable[T]) -> T:
    """Awaits the answer of a service; an error names the service. Raises Transient."""
    try:
        return await answer
    except Transient as error:
        raise Transient(name_service(service, error), retry_after=error.retry_after) from error
    except Permanent as error:
        raise Transient(f"{service} refuses: {error.detail}", retry_after=5.0) from error


def _unknown(id: str) -> NotFound:
    return NotFound(f"there is no dead letter `{id[:80]}`: ids are like `preference-12`; `tactful dlq list` shows them")

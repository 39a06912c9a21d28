"""Asks a provider which messages it has had: what adapters whose provider can be searched share.

An adapter says which pages to ask for about a message, and what a page proves. One page that shows the message is
enough; that it is absent is believed only where every page was answered in full and says so.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from services.orchestrator.delivery.adapters.definition import SearchAnswer, SearchedMessage, SearchFinding
from services.orchestrator.delivery.adapters.provider_http import NoAnswer, ProviderClient

MAX_PAGE: Final = 512 * 1024
"""Bytes of an answer that are read. A longer one proves nothing."""
ASKING_SECONDS: Final = 5.0
"""After so long no further question is begun: what has been answered by then must not be lost."""
ANSWERED_SECONDS: Final = 9.0
"""After so long the last question has failed. Less than `unknown_search.SEARCH_TIMEOUT`, which costs all answers."""

_PROVIDER_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")


class PageFinding(NamedTuple):
    """What a page proves. `provider_id`: of a message that it shows."""

    finding: SearchFinding
    provider_id: str | None = None


UNCLEAR: Final = PageFinding("unclear")
ABSENT: Final = PageFinding("absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSearchApi:
    """The search of one provider."""

    headers: Mapping[str, str] = field(repr=False)
    """Who we are."""
    list_pages: Callable[[SearchedMessage], Sequence[str]]
    """Paths below the provider's URL."""
    read_page: Callable[[Any, SearchedMessage], PageFinding]
    """What a page proves, from its JSON. Raises nothing, whatever it contains."""


async def search_each(
    client: ProviderClient, api: ProviderSearchApi | None, messages: Sequence[SearchedMessage]
) -> list[SearchAnswer]:
    """One question after the other. After one that fails, the others are not asked: they would fail as well. Nor is
    what a slow provider leaves no time for.
    """
    answers: list[SearchAnswer] = []
    now = asyncio.get_running_loop().time
    begun, has_failed = now(), False
    for message in messages:
        if api is None or has_failed or now() >= begun + ASKING_SECONDS:
            answers.append(SearchAnswer(message.id, "unclear", detail="not asked"))
            continue
        try:
            async with asyncio.timeout_at(begun + ANSWERED_SECONDS):
                answers.append(await _search(client, api, message))
        except TimeoutError:
            answers.append(SearchAnswer(message.id, "failed", detail="no answer in time"))
        has_failed = answers[-1].finding == "failed"
    return answers


async def _search(client: ProviderClient, api: ProviderSearchApi, message: SearchedMessage) -> SearchAnswer:
    pages: list[PageFinding] = []
    for path in api.list_pages(message):
        try:
            answer = await client.get(path, api.headers, MAX_PAGE)
        except NoAnswer as cause:
            return SearchAnswer(message.id, "failed", detail=str(cause))
        if answer.status != 200:
            return SearchAnswer(message.id, "failed", detail=f"status {answer.status}")
        pages.append(api.read_page(_parse_json(answer.body), message))
        if pages[-1].finding == "found":
            break
    found = next((each for each in reversed(pages) if each.finding != "absent"), ABSENT if pages else UNCLEAR)
    provider_id = found.provider_id if _PROVIDER_ID.fullmatch(found.provider_id or "") else None
    return SearchAnswer(message.id, found.finding, provider_id)


def _parse_json(body: bytes | None) -> Any:
    try:
        return msgspec.json.decode(body or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None

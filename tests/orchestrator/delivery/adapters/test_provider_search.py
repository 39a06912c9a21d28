"""What the answer of a provider's search proves, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.orchestrator.delivery.adapters import provider_search
from services.orchestrator.delivery.adapters.definition import SearchedMessage
from services.orchestrator.delivery.adapters.mailgun import event_search
from services.orchestrator.delivery.adapters.mailgun.declaration import MailgunSettings
from services.orchestrator.delivery.adapters.postmark import message_search
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.provider_http import HttpLimits, ProviderClient
from services.orchestrator.delivery.adapters.provider_search import ProviderSearchApi, search_each
from services.orchestrator.delivery.unknown_search import SEARCH_TIMEOUT
from tests.support.mail_api_fake import LOOPBACK

MESSAGE = SearchedMessage("msg_1", "ada@example.org", 1_800_000_000_000_000)
_FOUND = event_search.create_search(MailgunSettings(search_key=SecretStr("k" * 32)), "shop.example")
assert _FOUND is not None
MAILGUN: ProviderSearchApi = _FOUND
POSTMARK = message_search.create_search(PostmarkSettings(), "k" * 32)
SEARCHES = [MAILGUN, POSTMARK]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["items", "Messages", "TotalCount", "Metadata", "user-variables"]), inner)
    ),
    max_leaves=10,
)


def event(id: str) -> dict[str, Any]:
    return {"user-variables": {"tactful_message": id}, "message": {"headers": {"message-id": "mg-1@shop.example"}}}


def sent(id: str) -> dict[str, Any]:
    return {"MessageID": "pm-1", "Metadata": {"tactful_message": id}}


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"items": [event("msg_2"), event("msg_1")]}, "found"),
        ({"items": [event("msg_2"), {}, None]}, "absent"),
        ({"items": []}, "absent"),
        ({"items": [event("msg_2")] * event_search.PAGE_SIZE}, "unclear"),  # there may be more
        ({"items": None}, "unclear"),
        ({}, "unclear"),
        ([], "unclear"),
        (None, "unclear"),  # no JSON, or cut off
    ],
)
def test_what_events_of_mailgun_prove(body: Any, finding: str) -> None:
    assert MAILGUN.read_page(body, MESSAGE).finding == finding


@pytest.mark.parametrize("to", ["Ada@example.org", "ada@müller.example", "a'b@example.org", ""])
def test_an_address_that_mailgun_may_write_in_another_way_is_never_absent(to: str) -> None:
    assert MAILGUN.read_page({"items": []}, MESSAGE._replace(to=to)).finding == "unclear"


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"TotalCount": 1, "Messages": [sent("msg_1")]}, "found"),
        ({"TotalCount": 0, "Messages": []}, "absent"),
        ({"TotalCount": 2, "Messages": [sent("msg_2"), sent("msg_3")]}, "unclear"),  # the filter was not understood
        ({"TotalCount": 1, "Messages": []}, "unclear"),
        ({"Messages": []}, "unclear"),
        ({"TotalCount": 0}, "unclear"),
        ({"ErrorCode": 10}, "unclear"),
        (None, "unclear"),
    ],
)
def test_what_a_search_of_postmark_proves(body: Any, finding: str) -> None:
    assert POSTMARK.read_page(body, MESSAGE).finding == finding


@pytest.mark.parametrize("search", SEARCHES, ids=["mailgun", "postmark"])
@given(body=JSON)
def test_nothing_that_a_provider_answers_raises(search: ProviderSearchApi, body: Any) -> None:
    assert search.read_page(body, MESSAGE).finding in ("found", "absent", "unclear")


def query(path: str) -> Mapping[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def test_mailgun_is_asked_for_one_recipient_since_ten_minutes_before_the_claim() -> None:
    [path] = MAILGUN.list_pages(MESSAGE._replace(to='a"+&b@example.org'))
    assert path.startswith("/v3/shop.example/events?")
    asked = query(path)
    assert asked["recipient"] == ['"a+&b@example.org"'] and asked["begin"] == [str(1_800_000_000 - 600)]


def test_postmark_is_asked_for_our_id_in_each_stream() -> None:
    paths = POSTMARK.list_pages(MESSAGE)
    assert [query(path)["messagestream"] for path in paths] == [["outbound"], ["broadcast"]]
    assert all(query(path)["metadata_tactful_message"] == ["msg_1"] for path in paths)


@asynccontextmanager
async def asked_provider(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[ProviderClient]:
    """A client of a provider that answers searches so."""
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ProviderClient(f"http://127.0.0.1:{runner.addresses[0][1]}", LOOPBACK, HttpLimits())
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def id_in(request: web.BaseRequest) -> str:
    return request.query["metadata_tactful_message"]


def named(*ids: str) -> list[SearchedMessage]:
    return [MESSAGE._replace(id=id) for id in ids]


async def test_one_page_that_shows_the_message_is_enough() -> None:
    async def found_in_the_second(request: web.BaseRequest) -> web.StreamResponse:
        if request.query["messagestream"] == "outbound":
            return web.json_response({"TotalCount": 1, "Messages": [sent("another")]})
        return web.json_response({"TotalCount": 1, "Messages": [sent(id_in(request))]})

    async with asked_provider(found_in_the_second) as client:
        [answer] = await search_each(client, POSTMARK, named("msg_1"))
    assert (answer.finding, answer.provider_id) == ("found", "pm-1")


@pytest.mark.parametrize("unclear", ["outbound", "broadcast"])
async def test_one_page_that_proves_nothing_leaves_the_absence_unproven(unclear: str) -> None:
    async def one_unclear(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"TotalCount": int(request.query["messagestream"] == unclear), "Messages": []})

    async with asked_provider(one_unclear) as client:
        [answer] = await search_each(client, POSTMARK, named("msg_1"))
    assert answer.finding == "unclear"


async def test_what_has_been_answered_is_kept_when_a_later_question_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_search, "ANSWERED_SECONDS", 0.5)

    async def hang_for_the_second(request: web.BaseRequest) -> web.StreamResponse:
        if id_in(request) == "msg_2":
            await asyncio.sleep(30)
        return web.json_response({"TotalCount": 1, "Messages": [sent(id_in(request))]})

    async with asked_provider(hang_for_the_second) as client:
        async with asyncio.timeout(5):  # sooner than the request itself would be given up
            answers = await search_each(client, POSTMARK, named("msg_1", "msg_2", "msg_3"))
    assert [each.finding for each in answers] == ["found", "failed", "unclear"]


async def test_a_slow_provider_is_asked_as_much_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_search, "ASKING_SECONDS", 0.1)

    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return web.json_response({"TotalCount": 1, "Messages": [sent(id_in(request))]})

    async with asked_provider(slowly) as client:
        answers = await search_each(client, POSTMARK, named("msg_1", "msg_2"))
    assert [each.finding for each in answers] == ["found", "unclear"]


def test_a_search_ends_before_its_caller_gives_up() -> None:
    """Who gives up loses every answer."""
    assert provider_search.ASKING_SECONDS < provider_search.ANSWERED_SECONDS < SEARCH_TIMEOUT

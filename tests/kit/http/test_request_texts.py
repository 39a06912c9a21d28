"""Text that cannot be kept is refused wherever a request may hold it, with a pointer and never with 500."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.http_apps import ADMIN_KEY, app_of, client_of, routes


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(routes()), ADMIN_KEY) as client:
        yield client


@pytest.mark.parametrize("segment", ["a%00b", "%ff", "%ed%a0%bd"])
async def test_a_path_is_checked(client: httpx.AsyncClient, segment: str) -> None:
    answer = await client.get(f"/v1/things/{segment}")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize("query", ["limit=%00", "limit=1%ff", "li%00mit=1"])
async def test_a_query_parameter_is_checked(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/things/a?{query}")
    assert answer.status_code == 400
    assert [each["pointer"] for each in answer.json()["errors"]] == [
        "/query/" + query.partition("=")[0].replace("%00", "?")
    ]


async def test_text_of_any_language_passes(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/things/Jürgen%20%F0%9F%98%80")).status_code == 200

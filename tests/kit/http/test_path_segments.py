"""Any id is one segment of a path."""

import httpx
import pytest
from fastapi import APIRouter

from services.kit.http.auth import public
from services.kit.http.path_segments import quote_segment, routable_path
from tests.support.http_apps import app_of, client_of, problem_of

IDS = (
    "a/b", "/", "//", "a%2Fb", "%", "%25", "%2F", "100%", "a?b#c", "a b", "a+b", "Zoë", "客户", "😀", ".",
    "..", "../..", "a;b=c", "a&b", "mailto:a@example.com", "%zz", "a\\b", "~'\"", " ",
)  # fmt: skip


def app() -> httpx.AsyncClient:
    router = APIRouter(dependencies=[public()])

    @router.get("/v1/things/{id}")
    async def thing(id: str) -> dict[str, str]:
        return {"id": id}

    @router.get("/v1/things/{id}/parts/{part}")
    async def part(id: str, part: str) -> dict[str, str]:
        return {"id": id, "part": part}

    return client_of(app_of(router))


@pytest.mark.parametrize("id", IDS)
async def test_an_id_of_any_characters_reaches_its_route_as_it_is(id: str) -> None:
    async with app() as client:
        assert (await client.get(f"/v1/things/{quote_segment(id)}")).json() == {"id": id}
        both = await client.get(f"/v1/things/{quote_segment(id)}/parts/{quote_segment(id)}")
        assert both.json() == {"id": id, "part": id}


async def test_bytes_that_are_no_text_are_refused() -> None:
    async with app() as client:
        problem_of(await client.get("/v1/things/%FF"), 400, "malformed")
        problem_of(await client.get("/v1/things/%ED%A0%80"), 400, "malformed")  # half a surrogate pair


async def test_an_encoded_slash_between_segments_is_none() -> None:
    async with app() as client:
        problem_of(await client.get("/v1%2Fthings/a"), 404, "not_found")
        assert (await client.get("/v1/thing%73/a")).json() == {"id": "a"}


def test_a_server_without_raw_paths_still_routes() -> None:
    assert routable_path({"path": "/v1/things/100%"}) == "/v1/things/100%25"

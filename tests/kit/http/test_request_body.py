"""Bodies are JSON or YAML, alike; what else comes is named."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter

from schemas.documents import DocumentError
from services.kit.http import request_parsing
from services.kit.http.app_factory import build_app
from services.kit.http.auth import Principal, requires
from services.kit.http.request_body import document_body
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from tests.support.http_apps import ADMIN_KEY, Body, Keys, app_of, client_of, problem_of, routes

YAML = {"content-type": "application/yaml"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(routes()), ADMIN_KEY) as client:
        yield client


@pytest.mark.parametrize(
    "kind", ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml; charset=UTF-8", "Application/YAML"]
)
async def test_yaml_is_taken_under_each_of_its_names(client: httpx.AsyncClient, kind: str) -> None:
    text = b"priority: 5\ncaps:\n  - {limit: 1}\n"
    answer = await client.post("/v1/model", content=text, headers={"content-type": kind})
    assert answer.json() == {"priority": 5, "caps": [{"limit": 1}]}


async def test_an_error_in_yaml_has_its_pointer_and_line(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/model", content=b"caps:\n  - limit: 1\n  - limt: 2\n    limit: 2\n", headers=YAML)
    (problem,) = problem_of(answer, 422, "invalid")["errors"]
    assert problem["pointer"] == "/caps/1/limt"
    assert problem["detail"] == "unknown field `limt`, did you mean `limit`? (line 3 of the body)"
    answer = await client.post("/v1/model", content=b"priority: 1\npriority: 2\n", headers=YAML)
    assert "the key `priority` appears twice at line 2" in problem_of(answer, 400, "malformed")["detail"]


async def test_what_is_taken_and_what_came_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/model", content=b"<a/>", headers={"content-type": "text/xml"})
    detail = problem_of(answer, 415, "wrong_media_type")["detail"]
    assert detail == "send the body as application/json or application/yaml; this is text/xml"
    answer = await client.post("/v1/model", content=b"{}")
    assert problem_of(answer, 415, "wrong_media_type")["detail"].endswith("this has no Content-Type")


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16"])
async def test_another_charset_is_refused(client: httpx.AsyncClient, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    problem_of(await client.post("/v1/model", content=b"{}", headers=headers), 415, "wrong_media_type")


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await client.post("/v1/model", content=b"\x1f\x8b", headers=headers)
    assert "uncompressed" in problem_of(answer, 415, "wrong_media_type")["detail"]


async def test_nothing_is_read_of_a_strangers_body(client: httpx.AsyncClient) -> None:
    headers = {"authorization": "Bearer viewer", "content-type": "text/xml"}
    problem_of(await client.post("/v1/model", content=b"<a/>", headers=headers), 403, "forbidden")
    router = APIRouter()

    @router.post("/x")
    async def bad(body: Body = document_body(Body), _: Principal = requires("campaigns:write")) -> None: ...

    with pytest.raises(ValueError, match="put the guard before the body"):
        app_of(router)


def test_a_body_that_only_fastapi_knows_is_refused() -> None:
    router = APIRouter()

    @router.post("/x", dependencies=[requires("campaigns:write")])
    async def bad(body: Body) -> None: ...

    with pytest.raises(ValueError, match="declare the body"):
        build_app(title="t", registry=Registry(), health=Health(), keys=Keys(), routers=[router])


@pytest.mark.wired
def test_a_large_yaml_text_is_parsed_apart_with_the_same_answers() -> None:
    large = b"".join(b"k%d: v\n" % number for number in range(9_000))
    assert request_parsing._load_apart(large) == {f"k{number}": "v" for number in range(9_000)}
    with pytest.raises(DocumentError) as refused:
        request_parsing._load_apart(large + b"k1: twice\n")
    assert [code for _, code, _ in refused.value.errors] == ["malformed"]
    assert "k1" in str(refused.value)

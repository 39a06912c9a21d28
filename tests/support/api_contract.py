"""Holds real answers against the OpenAPI document: a transport for tests that checks every answer that passes.

An answer fails its test when its status, its media type, a field, or the code of its error is not declared. Objects are
taken as closed here, although clients must expect more fields, so that a field that nobody declared is found.
"""

import json
import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
from fastapi import FastAPI
from starlette.types import ASGIApp

from services.development.all_services import Gateway
from services.kit.http.openapi import merge_documents

Json = dict[str, Any]
SEEN: set[tuple[str, str, str]] = set()
"""Method, path template and status of every answer that was checked in this process."""
_DOCUMENTS: dict[str, Json] = {}


class ContractTransport(httpx.ASGITransport):
    """Calls an app in this process, and checks what it answers."""

    def __init__(self, app: ASGIApp, *, raise_app_exceptions: bool = True) -> None:
        super().__init__(app, raise_app_exceptions=raise_app_exceptions)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Handle the request. Raises AssertionError for an answer that is not declared."""
        response = await super().handle_async_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            content = await response.aread()
            check_answer(describe(self.app), request, response, content)
        return response


def describe(app: ASGIApp) -> Json:
    """The OpenAPI document of an app, or of the services behind a gateway. Made once for each kind of app."""
    if isinstance(app, Gateway):
        parts = {name: each for name, each in app.apps.items() if isinstance(each, FastAPI)}  # a test may break one
        documents = [describe(each) for each in parts.values()]
        return _remember("+".join(sorted(parts)), lambda: merge_documents("Tactful", documents))
    assert isinstance(app, FastAPI)
    return _remember(f"{app.title} {len(app.routes)}", app.openapi)


def _remember(name: str, make: Any) -> Json:
    if name not in _DOCUMENTS:
        _DOCUMENTS[name] = make()
    return _DOCUMENTS[name]


def check_answer(document: Json, request: httpx.Request, response: httpx.Response, content: bytes) -> None:
    """Raises AssertionError unless the answer is declared."""
    method = "get" if request.method == "HEAD" else request.method.lower()
    path = request.url.raw_path.partition(b"?")[0].decode()
    template = _find_template(document, path, method)
    place = f"{request.method} {template or path} {response.status_code}"
    if template is None:
        assert not (response.is_success and path.startswith("/v1/") and request.method != "OPTIONS"), (
            f"{place}: the OpenAPI document does not have this path"
        )
        return
    declared = document["paths"][template][method]["responses"].get(str(response.status_code))
    assert declared is not None, (
        f"{place}: this status is not declared: name its model or its error in `answers(...)` of the route;"
        f" the answer was {content[:300]!r}"
    )
    SEEN.add((method, template, str(response.status_code)))
    if request.method == "HEAD" or not content:
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in declared.get("content", {}), f"{place}: {media_type} is not declared"
    schema = declared["content"][media_type].get("schema")
    assert schema, f"{place}: the answer has no schema: name its model in `answers(...)` of the route"
    if not media_type.endswith("json"):
        return
    body = json.loads(content)
    faults = [
        f"{error.instance_path}: {error.message[:300]}" for error in _validator(document, schema).iter_errors(body)
    ]
    assert not faults, f"{place}: the answer is not as declared: {'; '.join(faults[:5])}"
    if media_type == "application/problem+json":
        assert body["code"] in declared["x-tactful-codes"], (
            f"{place}: the error {body['code']} is not declared: name its class in `answers(...)` of the route"
        )


def _find_template(document: Json, path: str, method: str) -> str | None:
    found = [
        template
        for template, operations in document["paths"].items()
        if method in operations and _matches(template, path)
    ]
    return min(found, key=lambda template: template.count("{"), default=None)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))


def _matches(template: str, path: str) -> bool:
    return _pattern(template).fullmatch(path) is not None


_validators: dict[tuple[int, str], Any] = {}


def _validator(document: Json, schema: Json) -> Any:
    key = (id(document), json.dumps(schema, sort_keys=True))
    if key not in _validators:
        whole = {**schema, "components": document["components"]}
        _validators[key] = jsonschema_rs.Draft202012Validator(_close(whole), validate_formats=True)
    return _validators[key]


def _close(node: Any) -> Any:
    if isinstance(node, list):
        return [_close(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _close(value) for name, value in node.items()}
    if "properties" in closed and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed

"""The OpenAPI document is valid, complete and stable, and its examples are taken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from schemas.roles import ALLOWED_ACTIONS, Role
from services.development import demo
from services.development.all_services import EmbeddedTactful
from services.development.api_reference import describe_api
from services.kit.errors import TactfulError
from services.kit.http.openapi import error_classes
from tests.support.api_contract import ContractTransport
from tests.support.document_builders import MONDAY, campaign, customer, policy
from tests.support.live_product import live
from tests.support.servers import ROOT

Operation = dict[str, Any]
DESCRIPTION = describe_api()
DOCUMENT = DESCRIPTION.document
OPERATIONS = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
NAMES = [f"{method.upper()} {path}" for method, path, _ in OPERATIONS]
_MARKS = {"mark_message_read", "mark_all_messages_read", "archive_message", "unarchive_message", "click_message"}
_COMMANDS = {"cancel_job", "cancel_import", "approve_removal", "request_export"} | {
    f"cancel_import_of_{kind}" for kind in ("customers", "consents", "situations", "contacts")
}
_VERIFICATIONS = {"verify_address_by_link", "ask_to_verify_address", "set_main_address"}
MAY_HAVE_NO_BODY = {"post_unsubscribe", "confirm_consent", *_VERIFICATIONS, *_COMMANDS, *_MARKS}


def test_the_document_is_openapi() -> None:
    official = json.loads((Path(__file__).parents[1] / "support/vendor/openapi-3.1.schema.json").read_text())
    faults = [
        f"{error.instance_path}: {error.message[:200]}" for error in jsonschema_rs.iter_errors(official, DOCUMENT)
    ]
    assert not faults
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert "x-tactful-document" not in json.dumps(schema), name
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(_references(DOCUMENT)) <= known


def test_every_operation_has_a_name_of_its_own() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert sorted(ids) == sorted(set(ids)), "give the function, or the route's `name=`, a name that no other has"
    assert all(id.isidentifier() for id in ids)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_an_operation_says_what_it_takes_and_answers(method: str, path: str, operation: Operation) -> None:
    assert operation.get("summary") and operation.get("tags")
    successes = {status: each for status, each in operation["responses"].items() if status[0] in "23"}
    assert successes, f"{method} {path}: name what it answers in `answers(...)` of the route"
    for status, response in successes.items():
        schemas = [each.get("schema") for each in response.get("content", {}).values()]
        assert status == "204" or (schemas and all(schemas)), (
            f"{method} {path} {status}: the answer has no schema: name its model in `**answers(...)` of the route"
        )
    if method in ("post", "put", "patch") and operation["operationId"] not in MAY_HAVE_NO_BODY:
        assert "requestBody" in operation, f"{method} {path}: declare its body with services.kit.http.request_body"
    for response in operation["responses"].values():
        for schema in response.get("content", {}).values():
            assert schema["schema"] != {"type": "object", "additionalProperties": True}, f"{method} {path}"
    declared = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
    assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_nothing_internal_is_shown() -> None:
    assert not [path for path in DOCUMENT["paths"] if path.startswith(("/internal", "/console"))]
    assert "/internal" not in json.dumps(DOCUMENT)


def test_every_error_has_a_code_of_its_own_and_a_meaning() -> None:
    named = {code for _, _, operation in OPERATIONS for code in _codes(operation)}
    assert named <= {each.default_code for each in error_classes()}
    for each in error_classes():
        assert each.__doc__ and issubclass(each, TactfulError)


def test_every_grant_is_asked_for_by_a_route_and_every_route_asks_for_a_grant() -> None:
    asked = {rule.action for rule in DESCRIPTION.access.values() if rule.kind == "role"}
    asked |= {rule.shows_more for rule in DESCRIPTION.access.values() if rule.shows_more}
    asked |= {action for rule in DESCRIPTION.access.values() for action in rule.asks_also}
    granted = {action for actions in ALLOWED_ACTIONS.values() for action in actions} - {"*"}
    assert granted <= asked, "no route asks for these grants: remove them from schemas/roles.py"
    assert asked - granted == {"agent_messages:write", "keys:read", "keys:write"}, (
        "nobody but an admin may do this: is that meant?"
    )
    assert Role.ADMIN in ALLOWED_ACTIONS


@pytest.mark.wired
async def test_tactful_dev_serves_one_document_and_each_service_its_own(tmp_path: Path) -> None:
    embedded = EmbeddedTactful(tmp_path, clock=MONDAY)
    await embedded.start()
    try:
        embedded.services.serve_development_api(demo.demo_routes(demo.DemoShop(embedded)))
        async with live_client(embedded.app) as client:
            together = (await client.get("/openapi.json")).json()
            head = await client.head("/openapi.json")
        assert (head.status_code, head.content) == (200, b"")
        assert set(DOCUMENT["paths"]) | {"/v1/dev/clock", "/v1/dev/demo"} == set(together["paths"])
        paths: set[str] = set()
        for name in ("orchestrator", "preference", "suppression"):
            async with live_client(embedded.services.app.apps[name]) as client:
                own = (await client.get("/openapi.json")).json()
            assert own["info"]["title"] == f"Tactful: {name}"
            paths |= set(own["paths"])
        assert paths == set(DOCUMENT["paths"])
    finally:
        await embedded.stop()


def live_client(app: Any) -> Any:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tactful")


@pytest.mark.wired
async def test_every_example_is_taken(tmp_path: Path) -> None:
    """Each example is sent to the running product, in an order in which it can work."""
    async with live(tmp_path, MONDAY) as product:
        assert isinstance(product.editor._transport, ContractTransport)
        await product.policy(policy(situations=[{"kind": "complaint", "opens": [{"event": "shop.complaint"}]}]))
        await product.campaign(campaign())
        await product.customer(customer())
        sent: set[str] = set()
        for method, path, operation in sorted(OPERATIONS, key=lambda item: item[1]):
            for name, example in _examples(operation):
                answer = await product.editor.request(method, _fill(path, example), json=example)
                assert answer.is_success, f"{method} {path}, {name}: {answer.text}"
                sent.add(operation["operationId"])
        assert {"put_campaign", "put_policy", "put_preferences", "send_events", "place_hold", "add"} <= sent


@pytest.mark.wired
async def test_an_odd_request_is_answered_as_declared(tmp_path: Path) -> None:
    """The transport compares each answer with the document."""
    async with live(tmp_path, MONDAY) as product:
        for method, path, operation in OPERATIONS:
            if method != "get":
                continue
            names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            for query in ("", "%00=1", "%FF", "nobody=1", *(f"{name}={odd}" for name in names for odd in ("%00", ""))):
                address = f"{_fill(path, {})}?{query}"
                await product.editor.get(address, headers={"Content-Encoding": "gzip"})


def test_the_examples_fit_their_schemas() -> None:
    for method, path, operation in OPERATIONS:
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            for name, example in content.get("examples", {}).items():
                faults = [error.message for error in jsonschema_rs.iter_errors(schema, example["value"])]
                assert not faults, f"{method} {path} {media_type} {name}: {faults}"


def test_the_page_is_linked() -> None:
    assert "docs/api.md" in (ROOT / "README.md").read_text("utf-8")


def _examples(operation: Operation) -> list[tuple[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return [(name, each["value"]) for name, each in content.get("examples", {}).items()]


def _fill(path: str, example: Any) -> str:
    key = example.get("key", "offer")
    key = "outage" if path.startswith("/v1/holds") else key
    return path.replace("{customer}", "ada").replace("{key}", key).replace("{number}", "1").replace("{name}", "sandbox")


def _codes(operation: Operation) -> list[str]:
    return [code for response in operation["responses"].values() for code in response.get("x-tactful-codes", ())]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)

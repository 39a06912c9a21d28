"""Readers see no more than their role: every role asks every route of the product for what it may not see.

Generated from the table of roles, the routes of the three services and the classes of fields; a route that is new is
asked as soon as it is there, and must be answered to somebody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from schemas.roles import Role, is_allowed
from services.development.all_services import Gateway
from services.kit.http.app_factory import access_table
from services.kit.http.openapi import merge_documents
from tests.support.document_builders import event
from tests.support.field_classes import find_classes
from tests.support.planted_product import PERSONAL, Planted, planted_product

pytestmark = [pytest.mark.wired, pytest.mark.timeout(400)]

SEES = "customers:read"
QUERIES = {
    "/v1/why": ("customer=c-1&campaign=vip", "customer=c-2&campaign=offer", "source=/shop&event=e-3"),
    "/v1/events": ("source=/shop&id=e-1", "source=/shop&id=e-3", "source=/shop&id=e-7"),
    "/v1/decisions": ("trace=full",),
    "/v1/dead-letters": ("limit=50",),
    "/v1/dev/clock": (),
    "/readyz": ("", "verbose=1"),
    "/console/why": ("customer=c-1&campaign=vip", "customer=c-2&campaign=offer"),
    "/console/agent/customer": ("customer=c-1", "customer=c-2"),
    "/console/customer": ("id=c-1",),
    "/console/decisions": ("span=90d", "span=90d&outcome=suppress"),
    "/console/inbox": ("", "message={message}"),
}
"""Query strings by route; one empty one where none is named."""
NEVER_PLAIN = {
    "/": "leads to the console",
    "/console": "leads to the console",
    "/console/{path}": "is the page of what is not found",
    "/console/static/{name}": "is the same for everybody",
    "/console/decisions/stream": "has no end, and is asked by a test of its own",
    "/console/customer": "leads to the customer's page",
    "/console/find": "shows what was looked for",
    "/console/sign-in/begin": "leads to the company's sign-in",
    "/console/sign-in/callback": "comes from the company's sign-in, and leads to a page",
    "/v1/receipts/{adapter}": "gives providers their own challenge back",
    "/v1/inbox/messages": "asks for the token of a customer",
    "/v1/inbox/unread": "asks for the token of a customer",
}
"""Routes that nobody is answered with a page or document of data, and why."""
LOOK_UPS: tuple[tuple[str, Any], ...] = (
    ("/v1/suppressions/lookup", {"address": "zqentry@example.org"}),
    ("/v1/preview", {"campaign": "vip", "customer": "c-1"}),
    ("/v1/preview", {"campaign": "vip", "customer": "c-1", "sample": {"traits": {"name": "Ada"}}}),
    ("/v1/preview", {"campaign": "vip", "customer": "c-1", "sample": {}, "event": {"data": {"gift": "a book"}}}),
    ("/v1/dead-letters/redrive", {"dry_run": True, "filter": {}}),
    ("/v1/campaigns/offer/pause", {"reason": 5}),
    ("/v1/events?wait=1s", event("shop.offer", "e-1", gift="zqdata")),
    ("/v1/events?wait=1s", event("shop.offer", "e-1", gift="other")),
)
"""Requests by POST that show something and change nothing."""


class Answer(NamedTuple):
    """What a role was answered. `template`: the path of the route."""

    role: Role
    method: str
    template: str
    address: str
    status: int
    is_json: bool
    text: str


class Asked(NamedTuple):
    """All answers, and what was planted."""

    answers: list[Answer]
    links: frozenset[str]
    secrets: frozenset[str]
    document: dict[str, Any]
    """The OpenAPI document of the three services."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Every role has asked every route, and some look-ups."""
    return asyncio.run(_ask_everything(tmp_path_factory.mktemp("planted")))


async def _ask_everything(directory: Path) -> Asked:
    answers: list[Answer] = []
    async with planted_product(directory) as planted:
        app = planted.live.together.app
        assert isinstance(app, Gateway)
        apps = [each for each in app.apps.values() if isinstance(each, FastAPI)]
        for role in Role:
            async with client(planted, role) as asking:
                for template, address in _addresses(apps, planted):
                    answers.append(await _ask(asking, role, "GET", template, address))
                for path, body in LOOK_UPS:
                    answers.append(await _ask(asking, role, "POST", path.partition("?")[0], path, body))
                answers.append(await _ask(asking, role, "POST", "/console/find", "/console/find", form={"q": "zqna"}))
                answers.append(await _read_stream(planted, role))
        document = merge_documents("Tactful", [each.openapi() for each in apps])
        return Asked(answers, frozenset(planted.links), frozenset(planted.secrets), document)


def client(planted: Planted, role: Role) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(planted.live.together.app),
        base_url="http://tactful",
        headers={"authorization": f"Bearer {planted.keys[role]}", "accept": "application/json, text/html"},
    )


def _addresses(apps: list[FastAPI], planted: Planted) -> Iterator[tuple[str, str]]:
    """Every GET route but the customers' own pages, with the names of objects that exist, and of some that do not."""
    routes = {route: rule for app in apps for route, rule in access_table(app).items()}
    for (method, template), rule in sorted(routes.items()):
        if method != "GET" or rule.kind == "service" or template.endswith("/stream") or "{token}" in template:
            continue
        for query in QUERIES.get(template, ("",)):
            for place in dict.fromkeys(_fill(template, planted, customer) for customer in ("c-1", "c-2", "nobody")):
                yield template, place + ("?" + query.format(**planted.names) if query else "")


def _fill(template: str, planted: Planted, customer: str) -> str:
    """The path with names of objects. `nobody` stands for all that do not exist."""
    names = planted.names
    if "/erasures/" in template and customer != "nobody":
        customer = "gone"
    kinds = (
        ("/document", "paper"),
        ("exports", "export"),
        ("jobs", "job"),
        ("dead-letters", "letter"),
        ("decisions", "decision"),
        ("keys", "key"),
        ("people", "person"),
    )
    kinds += ("simulations", "simulation"), ("messages", "message"), ("inbox", "message")  # type: ignore[assignment]
    id = customer if "/console/customers" in template else next((names[n] for part, n in kinds if part in template), "")
    known = {"key": "outage" if "holds" in template else "offer", "id": id, "customer": customer, "number": "1"}
    known["wording"] = names["wording"]
    if customer == "nobody":
        known |= {"id": "77", "key": "nothing", "number": "77", "wording": "sha256:nothing"}
    is_there = customer != "nobody"
    imported = {f"/v1/imports/{kind}s": f"{kind}_import" for kind in ("customer", "consent", "situation", "contact")}
    import_of = next((name for path, name in imported.items() if template.startswith(path)), "import")
    of_list = {"import_id": import_of, "removal_id": "removal", "entry_id": "entry"}
    known |= {place: names[name] if is_there else "x" for place, name in of_list.items()}
    return template.format(**known, path="x", name="tactfuldeadlettersold.md", adapter="webhook")


async def _ask(
    asking: httpx.AsyncClient,
    role: Role,
    method: str,
    template: str,
    address: str,
    body: Any = None,
    form: dict[str, str] | None = None,
) -> Answer:
    headers = {"content-type": "application/cloudevents+json"} if template == "/v1/events" and body else {}
    answer = await asking.request(method, address, json=body, data=form, headers=headers)
    is_json = "json" in answer.headers.get("content-type", "")
    return Answer(role, method, template, address, answer.status_code, is_json, answer.text)


async def _read_stream(planted: Planted, role: Role) -> Answer:
    """The stream of live decisions, until it has nothing more to say for a moment."""
    template, parts, status = "/console/decisions/stream", [b""], 0
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not done.is_set():
            done.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(0.5)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    headers = [
        (b"authorization", f"Bearer {planted.keys[role]}".encode()),
        (b"host", b"tactful"),
        (b"last-event-id", b"1"),
    ]
    scope = {
        "type": "http",
        "method": "GET",
        "path": template,
        "raw_path": template.encode(),
        "query_string": b"",
        "headers": headers,
        "server": ("tactful", 80),
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(planted.live.together.app(scope, receive, send), 3)
    return Answer(role, "GET", template, template, status, False, b"".join(parts).decode())


def test_nothing_that_is_planted_reaches_a_role_that_may_not_see_it(asked: Asked) -> None:
    hidden = {*PERSONAL, *asked.links}
    leaks = {
        (answer.role.value, answer.address, mark)
        for answer in asked.answers
        for mark in hidden
        if mark in answer.text and not is_allowed(answer.role, SEES)
    }
    assert not leaks


def test_the_stream_of_decisions_has_told_every_role_that_may_read_it(asked: Asked) -> None:
    told = {answer.role: answer for answer in asked.answers if answer.template.endswith("/stream")}
    assert {role for role, answer in told.items() if "data:" in answer.text} == {
        role for role in Role if is_allowed(role, "decisions:read") and is_allowed(role, "customers:list")
    }


def test_nobody_reads_a_key(asked: Asked) -> None:
    assert not [answer[:4] for answer in asked.answers for secret in asked.secrets if secret in answer.text]


def test_whoever_may_see_customers_sees_what_is_planted(asked: Asked) -> None:
    """Else the test above would find nothing because nothing is there. Addresses of the list are masked for all."""
    for role in (role for role in Role if is_allowed(role, SEES)):
        texts = "".join(answer.text for answer in asked.answers if answer.role is role)
        seen = {mark for mark in (*PERSONAL, *asked.links) if mark in texts}
        of_letters = set() if is_allowed(role, "dead_letters:read") else {"zqletter", "zqheader"}
        assert {*PERSONAL, *asked.links} - seen <= {"zqentry", *of_letters}, role


def test_each_field_is_shown_by_its_class(asked: Asked) -> None:
    """A field of a class that the role may not see is null or not there; one that it may see is shown by some route."""
    shown: dict[tuple[bool, str, str], list[str]] = {}
    for answer in asked.answers:
        if answer.is_json and 200 <= answer.status < 300 and answer.template in asked.document["paths"]:
            operation = asked.document["paths"][answer.template][answer.method.lower()]
            schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
            for model, field, value in _walk(schema, json.loads(answer.text), asked.document):
                if value not in (None, [], {}) and model and not model.startswith("Page_"):
                    shown.setdefault((is_allowed(answer.role, SEES), model, field), []).append(answer.address)
    for (sees, model, field), addresses in shown.items():
        if not sees and set(addresses) != {"/v1/preview"}:  # of a sample: the first test looks for what is real
            assert find_classes(model, field) in (["operational"], ["documents"]), (model, field, addresses)
    seen = {(model, field) for sees, model, field in shown if sees}
    for each in (("MessageFields", "to"), ("MessageFields", "content"), ("WholeLetter", "content"), ("Bytes", "text")):
        assert each in seen
    assert {model for model, _ in seen} >= {
        "PreferencesAnswer",
        "Situations",
        "Contacts",
        "TimelineConsent",
        "PreviewItem",
    }


def test_every_route_has_shown_something_to_somebody(asked: Asked) -> None:
    """A route that is new is asked with names of objects that exist; else nothing is tested of it."""
    templates = {answer.template for answer in asked.answers if not answer.template.endswith("/pause")}
    answered = {answer.template for answer in asked.answers if answer.status == 200}
    assert templates - answered <= {*NEVER_PLAIN}


def test_no_role_meets_an_error_of_the_server(asked: Asked) -> None:
    assert not [(answer.role, answer.address, answer.text[:300]) for answer in asked.answers if answer.status >= 500]


def _walk(schema: Any, value: Any, document: dict[str, Any], model: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every field of a value with its model's name, as the schema says."""
    if "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        yield from _walk(document["components"]["schemas"][model], value, document, model)
    elif "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        fitting = next((each for each in options if _fits(each, value, document)), None)
        if fitting is not None:
            yield from _walk(fitting, value, document)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            yield from _walk(schema["items"], item, document)
    elif isinstance(value, dict) and "properties" in schema:
        for name, child in value.items():
            yield model, name, child
            yield from _walk(schema["properties"].get(name, {}), child, document)


def _fits(schema: Any, value: Any, document: dict[str, Any]) -> bool:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if not isinstance(value, dict):
        return schema.get("type") == "array" and isinstance(value, list)
    properties = schema.get("properties", {})
    consts = {name: each["const"] for name, each in properties.items() if "const" in each}
    return (
        set(schema.get("required", ())) <= set(value) <= set(properties)
        and all(value.get(name) == const for name, const in consts.items())
        and bool(properties)
    )


@pytest.fixture
async def planted(tmp_path: Path) -> AsyncIterator[Planted]:
    async with planted_product(tmp_path) as product:
        yield product

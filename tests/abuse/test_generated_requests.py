"""Requests that are made of the description of the API, right ones and wrong ones, and texts that cannot be kept, as
every role to the product on SQLite and on PostgreSQL: each answer is as described, none is an error of the server, and
none shows a role what it may not see.

The requests are the same in every run. A request that has found a fault is kept as a test where the fault was mended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from schemas.roles import Role, is_allowed
from services.development.all_services import SERVICE_NAMES
from services.development.api_reference import describe_api
from tests.support.api_contract import ContractTransport
from tests.support.planted_product import PERSONAL, Planted, planted_product

pytestmark = [pytest.mark.wired, pytest.mark.timeout(300)]

OF_EACH_KIND: Final = 2
"""Requests that fit the description of an operation, and as many that do not."""
MOST_LEAVES: Final = 8
"""Texts of one body that are replaced, one at a time."""
ODD_IN_JSON: Final = ('"a\\u0000b"', '"\\ud83d"', '"\\udc00\\ud83d"')
ODD_IN_URLS: Final = ("%00", "a%00b", "%ED%A0%BD", "%FF", "%C0%80")
LEFT_OUT: Final = ("/livez", "/readyz", "/startupz", "/metrics", "/v1/simulations")
"""What takes nothing; and what starts a process for each request that is taken."""


class Request(NamedTuple):
    """A request of an operation. `content`: the body as bytes."""

    method: str
    template: str
    url: str
    headers: dict[str, str]
    content: bytes | None

    def describe(self) -> str:
        return f"{self.method} {self.url[:300]} {(self.content or b'')[:300]!r}"


@cache
def generated() -> list[Request]:
    """Requests by schemathesis for each operation."""
    found: list[Request] = []
    for result in schemathesis.openapi.from_dict(describe_api().document).get_all_operations():
        operation = result.ok()
        if operation.path not in LEFT_OUT:
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                found += [each for case in _generate(operation, mode) if (each := _to_request(case)) is not None]
    return found


def _generate(operation: Any, mode: Any) -> list[Any]:
    cases: list[Any] = []

    @settings(
        max_examples=OF_EACH_KIND,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        cases.append(case)

    try:
        collect()
    except Unsatisfiable:  # an operation that takes nothing cannot be given anything wrong
        return []
    return cases


def _to_request(case: Any) -> Request | None:
    """The request as it is sent. None for one that no client can send."""
    parts = case.as_transport_kwargs(base_url="http://tactful")
    headers = {
        name: value for name, value in parts["headers"].items() if name.lower() in ("content-type", "idempotency-key")
    }
    content = parts.get("data")
    if "json" in parts:
        content = json.dumps(parts["json"]).encode("utf-8", "surrogatepass")
        headers.setdefault("Content-Type", "application/json")
    if content is not None and not isinstance(content, bytes):
        content = str(content).encode("utf-8", "surrogatepass")
    try:
        url = str(httpx.Request(parts["method"], parts["url"], params=parts.get("params") or None, headers=headers).url)
    except (UnicodeEncodeError, httpx.InvalidURL):
        return None
    return Request(parts["method"], case.operation.path, url, headers, content)


def _with_names(request: Request, planted: Planted) -> Request:
    """The request about objects that exist, so that it gets further than to `not found`."""
    names = planted.names
    id = next(
        (
            names[name]
            for name in ("job", "letter", "message", "key", "decision", "person")
            if f"/{name}s" in request.url
        ),
        "1",
    )
    known = {"customer": "c-1", "key": "outage" if "holds" in request.template else "offer", "number": "1", "id": id}
    known |= {f"{name}_id": id for name, id in names.items()}
    known |= {"token": next(iter(planted.links)), "name": "tactfuldeadlettersold.md"}
    known |= {"adapter": "webhook", "wording": names["wording"], "address": names["address"]}
    query = request.url.partition("?")[1] + request.url.partition("?")[2]
    return request._replace(url=f"http://tactful{request.template.format(**known)}{query}")


def _with_odd_texts(request: Request) -> Iterator[Request]:
    """The request with a text that cannot be kept, in each place in turn."""
    path, _, query = request.url.removeprefix("http://tactful").partition("?")
    parts = request.template.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{"):
            for odd in ODD_IN_URLS:
                changed = "/".join([*path.split("/")[:place], odd, *path.split("/")[place + 1 :]])
                yield request._replace(url=f"http://tactful{changed}?{query}".rstrip("?"))
    if request.content is not None and request.headers.get("Content-Type", "").endswith("json"):
        for body in _with_odd_leaves(request.content):
            yield request._replace(content=body)


def _with_odd_leaves(content: bytes) -> Iterator[bytes]:
    try:
        document = json.loads(content)
    except ValueError:
        return
    mark = "here-is-the-place"
    for number, changed in enumerate(_changes(document, mark)):
        if number < 2 * MOST_LEAVES:
            yield json.dumps(changed).replace(f'"{mark}"', ODD_IN_JSON[number % len(ODD_IN_JSON)]).encode()


def _changes(node: Any, mark: str) -> Iterator[Any]:
    """The document with the mark in place of each text in it, and of each name."""
    if isinstance(node, str):
        yield mark
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from ([*node[:index], changed, *node[index + 1 :]] for changed in _changes(item, mark))
    elif isinstance(node, dict):
        for name, item in node.items():
            yield from ({**node, name: changed} for changed in _changes(item, mark))
            yield {mark if key == name else key: value for key, value in node.items()}


@pytest.mark.parametrize("dialect", ["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
async def test_every_answer_is_as_described_whatever_is_asked(
    tmp_path: Path, dialect: str, request: pytest.FixtureRequest
) -> None:
    urls = None
    if dialect == "postgresql":
        server = request.getfixturevalue("postgres_server")
        urls = {service: server.database() for service in SERVICE_NAMES}
    access = describe_api().access
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    async with planted_product(tmp_path, urls) as planted:
        transport = ContractTransport(planted.live.together.app)
        async with httpx.AsyncClient(transport=transport, timeout=60) as asking:
            for number, (role, each) in enumerate(_by_roles(planted, access)):
                headers = {**each.headers, "authorization": f"Bearer {planted.keys[role]}"}
                try:
                    answer = await asking.request(each.method, each.url, headers=headers, content=each.content)
                except Exception as error:
                    faults.append(f"{number} {role} {each.describe()}: {error!r}"[:1500])
                    continue
                statuses[answer.status_code] += 1
                # A customer's own page is opened by the token in its address, and shows the customer's data.
                is_open = not access[each.method, each.template].action
                marks = () if is_open or is_allowed(role, "customers:read") else (*PERSONAL, *planted.links)
                if answer.status_code >= 500 or any(mark in answer.text for mark in marks):
                    faults.append(f"{number} {role} {each.describe()}: {answer.status_code} {answer.text[:300]}")
    assert not faults, "\n".join(faults[:20])
    assert set(statuses) >= {200, 400, 403, 404, 422}, statuses


def _by_roles(planted: Planted, access: Any) -> Iterator[tuple[Role, Request]]:
    """Each request as each role that may make it; of those that may not, one role in turn. Then the odd texts."""
    for number, each in enumerate(generated()):
        action = access[each.method, each.template].action
        allowed = [role for role in Role if not action or is_allowed(role, action)]
        refused = [role for role in Role if role not in allowed]
        if refused:
            yield refused[number % len(refused)], each
        for role in allowed if action else allowed[:1]:
            yield role, each if number % 2 else _with_names(each, planted)
    for number, each in enumerate(generated()):
        action = access[each.method, each.template].action
        allowed = [role for role in Role if not action or is_allowed(role, action)]
        if number % (2 * OF_EACH_KIND) == 0:
            for odd in _with_odd_texts(_with_names(each, planted)):
                yield allowed[number % len(allowed)], odd

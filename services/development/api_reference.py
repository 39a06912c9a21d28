"""The generated parts of docs/api.md: operations, schemas, errors, and who may do what.

They follow from the OpenAPI document of the three services and from the table of roles; `/v1/dev` is left out.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from fastapi import FastAPI
from pydantic import SecretStr

from schemas.roles import Role, is_allowed
from services.deployment_settings import DeploymentSettings
from services.development import demo, virtual_time
from services.development.all_services import SERVICE_NAMES, AllServices
from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from services.kit.http.app_factory import access_table
from services.kit.http.auth import RouteAccess
from services.kit.http.connection_limits import HeadTooLarge, TooSlow
from services.kit.http.openapi import error_classes, merge_documents
from services.kit.runtime.clock import SystemClock

Json = dict[str, Any]
_SUCCESS: Final = "2"
_WITH_ERRORS_OF_THEIR_OWN: Final = (demo, virtual_time)
"""Modules that must be imported for the table of errors: it has those that exist in the process."""
_COMMON_CODES: Final = frozenset(
    {"unauthorised", "forbidden", "malformed", "invalid", "internal", "unavailable", "database_busy", "database_gone"}
    | {"too_large", "wrong_media_type", "idempotency_key", "idempotency_mismatch", "idempotency_in_progress"}
)
"""Codes that are not repeated for each operation."""


class ApiDescription(NamedTuple):
    """The OpenAPI document of all three services, and who may call which of their routes, those of pages too."""

    document: Json
    access: Mapping[tuple[str, str], RouteAccess]


@cache
def describe_api() -> ApiDescription:
    """Builds the apps of the three services, without starting them, and describes them. Once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        keys = dict.fromkeys(("admin_key", "service_key", "address_key"), SecretStr("a-key-that-nobody-uses"))
        databases = {name: Database.open(f"sqlite+aiosqlite:///{directory / name}.db") for name in SERVICE_NAMES}
        bus = LocalBus(directory / "log.db")
        services = AllServices(DeploymentSettings.model_validate(keys), databases, bus, SystemClock())
        apps = [app for app in services.app.apps.values() if isinstance(app, FastAPI)]
        access = {route: rule for app in apps for route, rule in access_table(app).items() if rule.kind != "service"}
        return ApiDescription(merge_documents("Tactful", [app.openapi() for app in apps]), access)


def operation_lines(document: Json) -> Iterator[str]:
    """One section for each tag, with a table of its operations and what each takes and answers."""
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append((path, method.upper(), operation))
    for tag in sorted(by_tag):
        yield f"### {tag.capitalize()}"
        yield ""
        for path, method, operation in by_tag[tag]:
            yield from _operation_lines(path, method, operation)


def _operation_lines(path: str, method: str, operation: Json) -> Iterator[str]:
    yield f"#### `{method} {path}`"
    grant = operation.get("x-tactful-grant")
    more = operation.get("x-tactful-shows-more-with")
    key = f"grant `{grant}`{f'; it shows more with `{more}`' if more else ''}" if grant else "no key"
    yield f"{operation['summary']}. Operation `{operation['operationId']}`, {key}."
    yield ""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] != "Idempotency-Key":
            yield f"- {parameter['in']} `{parameter['name']}`: {_parameter_text(parameter)}"
    if (body := operation.get("requestBody")) is not None:
        kinds = ", ".join(f"`{kind}`" for kind in body["content"])
        schema = _type_text(next(iter(body["content"].values()))["schema"])
        yield f"- body{'' if body['required'] else ' (optional)'}: {schema}, as {kinds}"
    for status, response in operation["responses"].items():
        if status.startswith(_SUCCESS):
            yield f"- {status}: {_content_text(response)}"
    errors = []
    for status, response in operation["responses"].items():
        codes = [f"`{code}`" for code in response.get("x-tactful-codes", ()) if code not in _COMMON_CODES]
        errors += [f"{status} {' '.join(codes)}"] if codes else []
    if errors:
        yield f"- errors: {'; '.join(errors)}"
    yield ""


def _parameter_text(parameter: Json) -> str:
    need = "required" if parameter.get("required") else "optional"
    description = parameter.get("description", "")
    return f"{_type_text(parameter['schema'])}, {need}{f'. {description}' if description else ''}"


def _content_text(response: Json) -> str:
    content = {kind: each for kind, each in response.get("content", {}).items() if kind != "application/problem+json"}
    if not content:
        return "no body"
    return "; ".join(
        _type_text(each["schema"]) if kind == "application/json" else f"`{kind}`" for kind, each in content.items()
    )


def schema_lines(document: Json) -> Iterator[str]:
    """One table of fields for each schema of the components."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"#### {name}"
        if schema.get("description"):
            yield " ".join(schema["description"].split())
        yield ""
        if "properties" not in schema:
            yield f"{_type_text(schema)}."
            yield ""
            continue
        yield "| field | type | |"
        yield "|---|---|---|"
        for field, value in schema["properties"].items():
            notes = ["required"] if field in schema.get("required", ()) else []
            if isinstance(value, dict) and value.get("description"):
                notes.append(" ".join(value["description"].split()))
            yield f"| `{field}` | {_cell(_type_text(value))} | {_cell('. '.join(notes))} |"
        yield ""


def _type_text(schema: Any) -> str:
    """A schema in a few words, with links to named ones."""
    if not isinstance(schema, dict) or not schema:
        return "nothing" if schema is False else "any value"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower().replace('.', '')})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{'null' if each is None else each}`" for each in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_type_text(each) for each in schema[word])
    kinds = schema.get("type", "value")
    if kinds == "array":
        return f"list of {_type_text(schema.get('items', {}))}"
    if kinds == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type_text(schema['additionalProperties'])}"
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f"{text} ({schema['format']})" if "format" in schema else text


_OF_CONNECTIONS: Final[tuple[type[TactfulError], ...]] = (HeadTooLarge, TooSlow)
"""What the server itself answers, before any route is asked."""


def error_lines() -> Iterator[str]:
    """Every code of an error, with its status and meaning."""
    yield "| code | status | what it means |"
    yield "|---|---|---|"
    by_code: dict[str, type[TactfulError]] = {each.default_code: each for each in (*error_classes(), *_OF_CONNECTIONS)}
    for each in sorted(by_code.values(), key=lambda each: (each.status, each.default_code)):
        meaning = (each.__doc__ or "").strip().splitlines()[0]
        yield f"| `{each.default_code}` | {each.status} | {_cell(meaning)} |"


def role_lines(access: Mapping[tuple[str, str], RouteAccess]) -> Iterator[str]:
    """Which role has which grant, and which routes ask for it."""
    routes: dict[str, list[str]] = {}
    for (method, path), rule in sorted(access.items(), key=lambda item: (item[0][1], item[0][0])):
        if rule.kind == "role":
            routes.setdefault(rule.action, []).append(f"`{method} {path}`")
        if rule.shows_more:
            routes.setdefault(rule.shows_more, []).append(f"more on `{method} {path}`")
        for action in sorted(rule.asks_also):
            routes.setdefault(action, []).append(f"some requests to `{method} {path}`")
    yield f"| grant | {' | '.join(Role)} | routes |"
    yield f"|---{'|---' * len(Role)}|---|"
    for grant in sorted(routes):
        marks = " | ".join("yes" if is_allowed(role, grant) else "" for role in Role)
        yield f"| `{grant}` | {marks} | {', '.join(routes[grant])} |"


def public_lines(access: Mapping[tuple[str, str], RouteAccess]) -> Iterator[str]:
    """The routes that need no key."""
    public: Iterable[str] = (f"`{method} {path}`" for (method, path), rule in access.items() if rule.kind == "public")
    yield f"Without a key: {', '.join(sorted(public))}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""The OpenAPI document of an app, from the declarations of its routes.

FastAPI describes paths, parameters and the models of `responses=`. Added here: what `RequestBody` takes, the documents
of `schemas/json` in full, every error that an operation may answer, the key, and `Idempotency-Key`. Routes for the
services alone are left out.

A model refers to a document by `document_schema(name)`, and takes over its fields by `json_schema_extra=
with_document(name)`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext
from pydantic import TypeAdapter, WithJsonSchema
from pydantic.json_schema import models_json_schema

from schemas.generate import generate_schema
from services.kit import errors
from services.kit.errors import TactfulError
from services.kit.http import idempotency
from services.kit.http.audit_trail import NotAudited
from services.kit.http.auth import RouteAccess
from services.kit.http.problems import MEDIA_TYPE, WrongMediaType
from services.kit.http.request_body import DOCUMENT_MARK, RequestBody, Shape

OPENAPI_VERSION: Final = "3.1.0"
Json = dict[str, Any]
Errors = Sequence[type[TactfulError]]

_WITH_DOCUMENT: Final = "x-tactful-with-document"
_ERRORS: Final = "x-tactful-errors"
_MODELS: Final = "x-tactful-models"
_COMPONENTS: Final = "#/components/schemas/"
_ALWAYS: Final = (
    errors.InternalError,
    errors.Transient,
    errors.DatabaseBusy,
    errors.DatabaseGone,
    errors.SealedValueUnreadable,
)
_OF_A_KEY: Final = (errors.Unauthorised, errors.Forbidden, errors.RateLimited, NotAudited)
_OF_A_BODY: Final = (errors.Malformed, errors.TooLarge, WrongMediaType, errors.Invalid)
_OF_AN_IDEMPOTENCY_KEY: Final = (
    idempotency.IdempotencyKeyInvalid,
    idempotency.IdempotencyMismatch,
    idempotency.RequestInProgress,
)


def document_schema(name: str, field: str | None = None) -> WithJsonSchema:
    """In `Annotated[...]`: a document of `schemas/json`, or one field of it."""
    return WithJsonSchema({DOCUMENT_MARK: name, "field": field})


def with_document(name: str, *, without: Sequence[str] = (), nullable: bool = False) -> Any:
    """As `json_schema_extra` of a model: the fields of a document of `schemas/json`, beside the model's own.

    `nullable`: absent fields are shown as null.
    """
    return {_WITH_DOCUMENT: {"name": name, "without": list(without), "nullable": nullable}}


def answers(models: Mapping[int, Any], *errors: type[TactfulError], texts: Collection[str] = ()) -> dict[str, Any]:
    """In `@routes.get(..., **answers({200: Thing}, NotFound))`: what a route answers, by status, and its own errors.

    The errors of every route (of the key, the body, the parameters, and ours) need not be named. A model of None means
    no body. `texts`: media types of what it may answer in place of JSON.
    """
    content = {"content": {media_type: {"schema": _TEXT} for media_type in texts}} if texts else {}
    return {
        "responses": {status: {"description": _SUCCESS_PHRASES[status], **content} for status in models},
        "status_code": next(iter(models)),
        "response_model": None,
        "openapi_extra": {
            _ERRORS: [(each.status, each.default_code) for each in errors],
            _MODELS: {str(status): _AnswerModel(model) for status, model in models.items() if model is not None},
        },
    }


class _AnswerModel(str):
    """A model on its way through FastAPI's `openapi_extra`, which lets only JSON pass.

    FastAPI itself would compile each model of `responses=` whenever an app is built, to validate what nobody validates.
    """

    __slots__ = ("model",)
    model: Any

    def __new__(cls, model: Any) -> "_AnswerModel":
        """The model, as its name."""
        self = super().__new__(cls, getattr(model, "__name__", str(model)))
        self.model = model
        return self


def page_answers(
    statuses: Sequence[int], *errors: type[TactfulError], media_type: str = "text/html", or_else: Collection[str] = ()
) -> dict[str, Any]:
    """As `answers`, of a route that answers a page or a file; `or_else`: other media types that it may be of."""
    content = {"content": {name: {"schema": _TEXT} for name in (media_type, *or_else)}}
    described = {status: {"description": _SUCCESS_PHRASES[status], **content} for status in statuses}
    return {
        "responses": described,
        "status_code": statuses[0],
        "openapi_extra": {_ERRORS: [(each.status, each.default_code) for each in errors]},
    }


_SUCCESS_PHRASES: Final = {
    200: "Done",
    201: "Created",
    202: "Accepted",
    204: "Done",
    302: "To the target",
    404: "No such link",
    422: "Not done",
    503: "No",
}


def generate_document(app: FastAPI, contexts: Iterable[RouteContext]) -> Json:
    """Builds the document of an app."""
    document = get_openapi(
        title=app.title, version=app.version, openapi_version=OPENAPI_VERSION, description=_ABOUT, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of errors, which we do not use
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key"}}
    bodies = _Bodies(schemas)
    contexts = list(contexts)
    answer_schemas = _describe_answers(contexts, schemas)
    for context in contexts:
        for method in sorted(context.methods or ()):
            operation = document["paths"].get(context.path_format, {}).get(method.lower())
            if operation is None:
                continue
            if find_access(context).kind == "service":
                del document["paths"][context.path_format][method.lower()]
            else:
                _complete_operation(operation, method, context, bodies, answer_schemas)
    resolved: Json = _resolve(document, schemas)
    resolved["components"]["schemas"] = {**schemas, **resolved["components"]["schemas"]}
    _drop_empty_paths(resolved)
    return resolved


def merge_documents(title: str, documents: Sequence[Json]) -> Json:
    """Merges the documents of apps that are served at one address. Raises ValueError where two disagree."""
    merged: Json = {**documents[0], "info": {**documents[0]["info"], "title": title}}
    merged["paths"], merged["components"] = {}, {}
    for document in documents:
        for path, operations in document["paths"].items():
            if path in merged["paths"] and merged["paths"][path] != operations:
                raise ValueError(f"two apps serve {path}")
            merged["paths"][path] = operations
        for kind, parts in document["components"].items():
            known = merged["components"].setdefault(kind, {})
            for name, part in parts.items():
                if known.setdefault(name, part) != part:
                    raise ValueError(f"two apps mean different things by {kind} {name}")
    merged["paths"] = dict(sorted(merged["paths"].items()))
    return merged


def walk_dependencies(dependant: Any) -> Iterator[Any]:
    """A route's dependencies, in the order in which they are called."""
    yield dependant
    for child in dependant.dependencies:
        yield from walk_dependencies(child)


def list_errors(context: RouteContext, method: str) -> dict[int, list[str]]:
    """Every error that an operation may answer: codes by status."""
    access, body = find_access(context), find_body(context)
    found: list[type[TactfulError]] = [errors.Malformed]  # an address that is no text
    if access.kind != "public":
        found += _OF_A_KEY
        found.append(errors.Invalid)  # unknown query parameters
    if body is not None:
        found += _OF_A_BODY
    if any(item.path_params or item.query_params for item in walk_dependencies(context.dependant)):
        found.append(errors.Invalid)
    if method == "POST" and access.kind == "role":
        found += _OF_AN_IDEMPOTENCY_KEY if access.store_response else [idempotency.IdempotencyUnsupported]
    own = [tuple(pair) for pair in (context.openapi_extra or {}).get(_ERRORS, ())]
    codes: dict[int, set[str]] = {}
    classes: list[type[TactfulError]] = [*found, *_ALWAYS]
    for status, code in (*own, *((each.status, each.default_code) for each in classes)):
        codes.setdefault(status, set()).add(code)
    return {status: sorted(each) for status, each in sorted(codes.items())}


def find_access(context: RouteContext) -> RouteAccess:
    """The guard of a route."""
    return next(item.call for item in walk_dependencies(context.dependant) if isinstance(item.call, RouteAccess))


def find_body(context: RouteContext) -> RequestBody | None:
    """The body that a route declares."""
    calls = (item.call for item in walk_dependencies(context.dependant))
    return next((call for call in calls if isinstance(call, RequestBody)), None)


def error_classes() -> list[type[TactfulError]]:
    """All errors that exist in this process, by status and code; abstract ones and doubles of a code left out."""
    found: dict[str, type[TactfulError]] = {}
    pending: list[type[TactfulError]] = [TactfulError]
    while pending:
        each = pending.pop(0)
        pending += each.__subclasses__()
        if "default_code" in vars(each) and each.__module__.startswith("services."):  # a test may have its own
            found.setdefault(each.default_code, each)
    return sorted(found.values(), key=lambda each: (each.status, each.default_code))


def _describe_answers(contexts: Iterable[RouteContext], schemas: Json) -> dict[int, Json]:
    """The schemas of all models of answers, by the model's identity; adds what they refer to to the components."""
    models = {
        id(each.model): each.model
        for context in contexts
        if find_access(context).kind != "service"
        for each in (context.openapi_extra or {}).get(_MODELS, {}).values()
    }
    by_key, definitions = TypeAdapter.json_schemas(
        [(key, "serialization", _compile(model)) for key, model in models.items()],
        ref_template=_COMPONENTS + "{model}",
    )
    for name, schema in definitions.get("$defs", {}).items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two models are called {name}")
    return {key: dict(schema) for (key, _), schema in by_key.items()}


@cache
def _compile(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _complete_operation(
    operation: Json, method: str, context: RouteContext, bodies: "_Bodies", answer_schemas: Mapping[int, Json]
) -> None:
    access, body = find_access(context), find_body(context)
    operation.pop(_ERRORS, None)
    operation.pop(_MODELS, None)
    if access.kind != "public":
        operation["security"] = [{"key": []}]
    if access.action:
        operation["x-tactful-grant"] = access.action
    if access.shows_more:
        operation["x-tactful-shows-more-with"] = access.shows_more
    if body is not None:
        operation["requestBody"] = bodies.describe(body)
    if method == "POST" and access.kind == "role" and access.store_response:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_PARAMETER)
    responses: Json = operation.setdefault("responses", {})
    if "text/html" not in responses.get("422", {}).get("content", {}):  # a page that says what is wrong with a form
        responses.pop("422", None)
    for status, each in (context.openapi_extra or {}).get(_MODELS, {}).items():
        document = {"application/json": {"schema": dict(answer_schemas[id(each.model)])}}
        responses[status]["content"] = {**responses[status].get("content", {}), **document}
    for status, codes in list_errors(context, method).items():
        problem = {MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}Problem"}}}
        responses[str(status)] = {
            "description": f"{_phrase(status)}: {', '.join(f'`{code}`' for code in codes)}",
            "content": {**responses.get(str(status), {}).get("content", {}), **problem},
            "x-tactful-codes": codes,
        }
        if status in (429, 503):
            responses[str(status)]["headers"] = {"Retry-After": _RETRY_AFTER}
    operation["responses"] = dict(sorted(responses.items()))


def _phrase(status: int) -> str:
    titles = {each.status: each.title for each in reversed(error_classes())}
    return titles.get(status, "Error")


class _Bodies:
    """Describes request bodies, and adds the schemas of their models to the components."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def describe(self, body: RequestBody) -> Json:
        examples = {name: {"value": value} for name, value in body.examples.items()}
        content = {}
        for media_type, shape in body.content.items():
            content[media_type] = {"schema": self._schema(shape)}
            if examples and media_type == "application/json":
                content[media_type]["examples"] = examples
        return {"required": body.required, "content": content}

    def _schema(self, shape: Shape) -> Json:
        if isinstance(shape, Mapping):
            return dict(shape)
        by_model, definitions = models_json_schema([(shape, "validation")], ref_template=_COMPONENTS + "{model}")
        for name, schema in definitions.get("$defs", {}).items():
            if self._schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two models are called {name}")
        return dict(by_model[(shape, "validation")])


def _resolve(node: Any, schemas: Json) -> Any:
    """Replaces the marks of documents, in the whole tree; adds the documents that are used to the components."""
    if isinstance(node, list):
        return [_resolve(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    if DOCUMENT_MARK in node:
        name = _add_document(node[DOCUMENT_MARK], schemas)
        if node.get("field"):
            return schemas[name]["properties"][node["field"]]
        if node.get("optional"):
            full, name = schemas[name], f"{name}Request"
            required = [field for field in full["required"] if field not in node["optional"]]
            schemas[name] = {**full, "title": name, "required": required}
        return {"$ref": _COMPONENTS + name}
    mark = node.pop(_WITH_DOCUMENT, None)
    resolved = {name: _resolve(value, schemas) for name, value in list(node.items())}
    if mark is not None:
        name = _add_document(mark["name"], schemas)
        document = schemas[name]
        shown = {field: value for field, value in document["properties"].items() if field not in mark["without"]}
        if mark["nullable"]:
            shown = {field: {"anyOf": [value, {"type": "null"}]} for field, value in shown.items()}
        resolved["properties"] = {**shown, **resolved["properties"]}
    return resolved


def _add_document(name: str, schemas: Json) -> str:
    """Adds a document of `schemas/json` and its definitions to the components; returns the name there."""
    title = name.capitalize()
    if title not in schemas:
        schema = generate_schema(name)
        definitions = schema.pop("$defs", {})
        for definition, part in definitions.items():
            schemas[f"{title}.{definition}"] = _point_to_components(part, title)
        schemas[title] = _point_to_components(
            {key: value for key, value in schema.items() if key not in ("$schema", "$id")}, title
        )
    return title


def _point_to_components(node: Any, title: str) -> Any:
    if isinstance(node, list):
        return [_point_to_components(item, title) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"{_COMPONENTS}{title}.{value.removeprefix('#/$defs/')}"
        if key == "$ref"
        else _point_to_components(value, title)
        for key, value in node.items()
    }


def _drop_empty_paths(document: Json) -> None:
    document["paths"] = {path: operations for path, operations in document["paths"].items() if operations}


def stable_operation_id(route: APIRoute) -> str:
    """The operation's id: the name of its function, or the `name=` of the route."""
    return route.name.replace(" ", "_")


_ABOUT: Final = (
    "Documents are taken as `application/json` or `application/yaml`. Errors are `application/problem+json` with a"
    " `code`; `errors` says where and how to mend it. Lists answer `items` and `next`, the `after` of the next page."
    " Ids in paths are percent-encoded and may hold any character. Where there is GET, there is HEAD."
)
_TEXT: Final = {"type": "string"}
_RETRY_AFTER: Final = {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}
_IDEMPOTENCY_PARAMETER: Final[Mapping[str, object]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of the caller's making; the same request with the same key has one effect and one answer for 24 h",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
PROBLEM_SCHEMA: Final[Json] = {
    "title": "Problem",
    "description": "An error (RFC 9457). The lines of the log that belong to it carry its `trace_id`.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "trace_id"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "code": {**_TEXT, "description": "Stable: see the table of errors"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {**_TEXT, "description": "JSON pointer into the body, or /path/..., /query/..."},
                    "code": _TEXT,
                    "detail": _TEXT,
                    "line": {"type": ["integer", "null"], "description": "In the text at the pointer, from 1"},
                    "column": {"type": ["integer", "null"]},
                    "suggestion": {"type": ["string", "null"]},
                    "severity": {"enum": ["error", "warning"]},
                },
            },
        },
        "trace_id": _TEXT,
    },
}

"""Error responses: RFC 9457, `application/problem+json`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from itertools import islice

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schemas.documents import VALUE_ERROR_PREFIX, DocumentError, find_lines
from schemas.finding import Finding
from services.kit.errors import Invalid, Permanent, Problem, TactfulError, TooLarge, Unauthorised
from services.kit.observability import logs

MEDIA_TYPE = "application/problem+json"
SCOPE_KEY = "tactful.problem"
"""Where the ASGI scope holds the code of the error that was answered, for the log line of the request."""
YAML_SCOPE_KEY = "tactful.yaml"
"""Where the ASGI scope holds a body that is YAML, so that an error can name its lines."""
MAX_YAML_WITH_LINES = 64 * 1024
"""Bytes of a body whose errors name their lines."""
MAX_ERRORS = 100
"""The maximum number of problems in one response."""
NOTHING_HERE = "There is nothing at this path."
"""What a server says of a path that none of its routes has."""
_STATUS_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 415: "wrong_media_type"}


class WrongMediaType(Permanent):
    """The body is in a media type that this route does not read."""

    status = 415
    title = "Wrong media type"
    default_code = "wrong_media_type"


class ProblemResponse(Response):
    """The response for one error; it leaves its code in the scope."""

    media_type = MEDIA_TYPE

    def __init__(self, code: str, content: str, status: int, headers: Mapping[str, str] | None) -> None:
        super().__init__(content, status, headers)
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        scope[SCOPE_KEY] = self.code
        await super().__call__(scope, receive, send)


class MethodNotAllowed(Permanent):
    """The path does not take this method; `Allow` lists those that it takes."""

    status = 405
    title = "Method Not Allowed"
    default_code = "method_not_allowed"


def problem_response(
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Iterable[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Builds the response for one error. `instance` names this occurrence by its trace id, which log lines
    carry too.
    """
    trace = logs.trace_id.get()
    body = {
        "type": f"urn:tactful:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:tactful:trace:{trace}",
        "code": code,
        "errors": [item.as_document() for item in islice(errors, MAX_ERRORS)],
        "trace_id": trace,
    }
    return ProblemResponse(code, json.dumps(body, ensure_ascii=False), status, headers)


def error_response(error: TactfulError) -> Response:
    """Builds the response for one of our errors. An internal one does not reveal its cause."""
    if error.status >= 500 and error.status != 503:
        return internal_error_response(error)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorised) else {}
    retry_after = getattr(error, "retry_after", None)
    if isinstance(retry_after, int | float):
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return problem_response(error.status, error.code, error.title, error.detail, error.errors, headers)


def internal_error_response(error: BaseException) -> Response:
    """Builds a generic 500 response, and logs where it happened."""
    logs.log_error("request_failed", error)
    return problem_response(500, "internal", "Internal error", "Something failed on our side; quote the trace_id.")


def install_error_handlers(app: FastAPI) -> None:
    """Installs the error handlers of an app."""
    app.add_exception_handler(TactfulError, _handle_tactful_error)
    app.add_exception_handler(DocumentError, _handle_document_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_error)


async def _handle_tactful_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TactfulError)
    error.errors = await _add_lines(request, error.errors)
    return error_response(error)


async def _handle_document_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DocumentError)
    return await _handle_tactful_error(request, to_invalid(error))


async def _add_lines(request: Request, problems: list[Problem]) -> list[Problem]:
    """Returns the problems with the line of each, where the body is YAML: of one that is not huge, since it is read
    once more for them.
    """
    raw: bytes | None = request.scope.get(YAML_SCOPE_KEY)
    if raw is None or len(raw) > MAX_YAML_WITH_LINES or not any(problem.pointer for problem in problems):
        return problems
    lines = await run_in_threadpool(find_lines, raw, [problem.pointer for problem in problems])
    return [
        problem
        if line is None or not problem.pointer
        else replace(problem, detail=f"{problem.detail} (line {line} of the body)")
        for problem, line in zip(problems, lines, strict=True)
    ]


def to_invalid(error: DocumentError) -> Invalid:
    """Converts a document's problems to our error."""
    return Invalid(_summarise(len(error.errors)), errors=[to_problem(each) for each in error.findings])


def to_problem(finding: Finding) -> Problem:
    """Converts a finding."""
    return Problem(finding.pointer, finding.code, finding.detail, finding.line, finding.column, finding.suggestion)


async def _handle_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == TooLarge.status:
        return error_response(TooLarge(str(error.detail)))
    headers = dict(error.headers or {})
    allowed = headers.get("Allow", "").split(", ")
    if "GET" in allowed and "HEAD" not in allowed:
        headers["Allow"] = ", ".join(["GET", "HEAD", *(method for method in allowed if method != "GET")])
    title = HTTPStatus(error.status_code).phrase
    code = _STATUS_CODES.get(error.status_code, title.lower().replace(" ", "_").replace("'", ""))
    details = {
        404: NOTHING_HERE,
        405: f"This path does not take this method; it takes {headers.get('Allow', 'others')}.",
    }
    detail = details.get(error.status_code, str(error.detail))
    return problem_response(error.status_code, code, title, detail, headers=headers)


async def _handle_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_parameter_problem(item["loc"], item["type"], item["msg"]) for item in error.errors()]
    return error_response(Invalid(_summarise(len(errors)), errors=errors))


def _parameter_problem(location: tuple[int | str, ...], fault_type: str, message: str) -> Problem:
    pointer = "".join(f"/{part}" for part in location)
    parameter_kind = {"query": "query parameter", "path": "part of the path", "header": "header"}.get(
        str(location[0]), "cookie"
    )
    message = message.removeprefix(VALUE_ERROR_PREFIX)
    detail = "is required" if fault_type == "missing" else message[:1].lower() + message[1:]
    return Problem(pointer, fault_type, f"the {parameter_kind} `{location[-1]}`: {detail}")


def _summarise(faults: int) -> str:
    return f"{faults} {'fault' if faults == 1 else 'faults'} in the request; see errors."

"""Strict request parsing: unambiguous JSON or YAML, and no query parameter that would be ignored."""

import atexit
from collections.abc import Callable, Collection, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from schemas.documents import DocumentError, did_you_mean, load_document, load_json
from schemas.text import BAD_TEXT, BAD_TEXT_DETAIL, clean_text, is_storable
from schemas.times import Instant, parse_instant
from services.kit.errors import Invalid, Malformed, Problem, TooLarge
from services.kit.http.problems import MAX_ERRORS, YAML_SCOPE_KEY, WrongMediaType
from services.kit.runtime.worker_process import WorkerPool

YAML_MEDIA_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
DOCUMENT_MEDIA_TYPES: Final = ("application/json", "application/yaml")


SMALL_YAML: Final = 64 * 1024
"""Bytes of YAML that are parsed in a thread of this process. More keeps the parser, and with it the interpreter's lock,
busy for seconds: it is parsed in a worker."""
_WORKERS: Final = WorkerPool(size=1)
atexit.register(_WORKERS.close)


async def read_document(request: Request, *, required: bool = True) -> object:
    """Returns the body, JSON or YAML, as plain values, for schemas.documents.validate_document. None if it is absent
    and not required.

    Raises WrongMediaType 415 for any other content type, Malformed 400 for what `load_document` refuses (neither JSON
    nor YAML, not UTF-8, duplicate keys, aliases, NaN, too deep), TooLarge 413, Invalid 422 for a missing body.
    """
    raw = await request.body()
    if not raw:
        if not required:
            return None
        problem = Problem("", "missing", f"the body is missing: send it as {' or '.join(DOCUMENT_MEDIA_TYPES)}")
        raise Invalid(problem.detail, errors=[problem])
    media_type = read_media_type(request)
    if is_json(media_type):
        return parse_json(raw)
    if media_type not in YAML_MEDIA_TYPES:
        raise wrong_media_type(request, DOCUMENT_MEDIA_TYPES)
    request.scope[YAML_SCOPE_KEY] = raw
    return await run_in_threadpool(_parse, load_document if len(raw) <= SMALL_YAML else _load_apart, raw)


def parse_json(raw: bytes) -> object:
    """Parses strict JSON. Raises Malformed, TooLarge, or Invalid for text that cannot be kept."""
    return _parse(load_json, raw)


def _load_apart(raw: bytes) -> object:
    return _WORKERS.call(load_document, raw)


def _parse(load: Callable[[bytes], object], raw: bytes) -> object:
    try:
        return load(raw)
    except DocumentError as error:
        problems = [Problem(*item) for item in error.errors]
        if any(item.code == "too_large" for item in problems):
            raise TooLarge(problems[0].detail, errors=problems) from None
        if all(item.code == BAD_TEXT for item in problems):
            raise Invalid("the body holds what is not text; see errors.", errors=problems) from None
        raise Malformed(problems[0].detail, errors=problems) from None


def read_media_type(request: Request) -> str:
    """Returns the media type of the body, without parameters. Raises WrongMediaType for a charset but UTF-8."""
    text, *parameters = request.headers.get("content-type", "").lower().split(";")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise WrongMediaType("send the body in UTF-8")
    return text.strip()


def is_json(media_type: str) -> bool:
    """Whether the media type is `application/json` or any `application/...+json`."""
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def wrong_media_type(request: Request, taken: Sequence[str]) -> WrongMediaType:
    """Returns the error that names what the route takes, and what came."""
    given = request.headers.get("content-type", "")[:80]
    came = f"this is {given}" if given else "this has no Content-Type"
    return WrongMediaType(f"send the body as {' or '.join(taken)}; {came}")


def require_identity_encoding(request: Request) -> None:
    """Raises WrongMediaType for a compressed body."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise WrongMediaType("send the body uncompressed, without Content-Encoding")


def check_url_texts(request: Request) -> None:
    """Raises Malformed for a path or a query parameter that is not text in UTF-8, or holds a NUL.

    Starlette would pass on a replacement character for such bytes, and a NUL, which PostgreSQL refuses.
    """
    path = unquote_to_bytes(request.scope.get("raw_path") or request.url.path)
    problems = [] if _is_text(path) else [Problem("/path", BAD_TEXT, BAD_TEXT_DETAIL)]
    for pair in request.scope.get("query_string", b"").split(b"&"):
        name, _, value = (unquote_to_bytes(part.replace(b"+", b" ")) for part in pair.partition(b"="))
        if not _is_text(name) or not _is_text(value):
            short = clean_text(name.decode(errors="replace"))[:60]
            problems.append(Problem(f"/query/{short}", BAD_TEXT, BAD_TEXT_DETAIL))
    if problems:
        raise Malformed("the address holds what is not text; see errors.", errors=problems[:MAX_ERRORS])


def _is_text(raw: bytes) -> bool:
    try:
        return is_storable(raw.decode())
    except UnicodeDecodeError:
        return False


def check_query(request: Request, known: Collection[str]) -> None:
    """Raises Invalid for a query parameter that the route does not declare, or one given twice."""
    errors: list[Problem] = []
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if len(errors) == MAX_ERRORS:
            break
        if name not in known:
            short = name[:60]
            detail = f"unknown query parameter `{short}`{did_you_mean(short, known)}"
            errors.append(Problem(f"/query/{short}", "unknown_parameter", detail))
        elif name in seen:
            errors.append(Problem(f"/query/{name}", "given_twice", f"the query parameter `{name}` is given twice"))
        seen.add(name)
    if errors:
        raise Invalid("the query cannot be understood; see errors.", errors=errors)


def parse_range_params(since: str | None, until: str | None) -> tuple[Instant | None, Instant | None]:
    """The instants of the query parameters `from` and `to`. Raises Invalid, also when they lie the wrong way round."""
    start, end = parse_instant_param("from", since), parse_instant_param("to", until)
    if start is not None and end is not None and end < start:
        problem = Problem("/query/to", "bad_range", "`to` must not be earlier than `from`")
        raise Invalid("nothing can lie between `from` and `to`", errors=[problem])
    return start, end


def parse_instant_param(name: str, text: str | None) -> Instant | None:
    """The instant of a query parameter. Raises Invalid."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        problem = Problem(f"/query/{name}", "bad_time", str(error))
        raise Invalid(f"`{name}` cannot be read; see errors.", errors=[problem]) from None

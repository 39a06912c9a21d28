"""Strict request parsing: unambiguous JSON, and no query parameter that would be ignored."""

from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from fastapi import Request

from schemas.documents import DocumentError, did_you_mean, load_json
from schemas.text import BAD_TEXT, BAD_TEXT_DETAIL, clean_text, is_storable
from schemas.times import Instant, parse_instant
from services.kit.errors import Invalid, Malformed, Problem, TooLarge
from services.kit.http.problems import MAX_ERRORS, WrongMediaType


async def read_json_body(request: Request, *, empty: object = None) -> object:
    """Returns the body as plain values, for schemas.documents.validate. `empty`: what an absent body means, if allowed.

    Raises WrongMediaType 415 unless the content type is JSON, Malformed 400 for what `load_json` refuses (not JSON, not
    UTF-8, duplicate keys, NaN, too deep), TooLarge 413.
    """
    raw = await request.body()
    if not raw and empty is not None:
        return empty
    if not is_json_request(request):
        raise WrongMediaType("send the body as application/json")
    return parse_json(raw)


def parse_json(raw: bytes) -> object:
    """Parses strict JSON. Raises Malformed, TooLarge, or Invalid for text that cannot be kept."""
    try:
        value: object = load_json(raw)
    except DocumentError as error:
        problems = [Problem(*item) for item in error.errors]
        if any(item.code == "too_large" for item in problems):
            raise TooLarge(problems[0].detail, errors=problems) from None
        if all(item.code == BAD_TEXT for item in problems):
            raise Invalid("the body holds what is not text; see errors.", errors=problems) from None
        raise Malformed(problems[0].detail, errors=problems) from None
    return value


def is_json_request(request: Request) -> bool:
    """Whether the content type is JSON: `application/json` or any `application/...+json`."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return content_type == "application/json" or (
        content_type.startswith("application/") and content_type.endswith("+json")
    )


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


def parse_instant_param(name: str, text: str | None) -> Instant | None:
    """The instant of a query parameter. Raises Invalid."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        problem = Problem(f"/query/{name}", "bad_time", str(error))
        raise Invalid(f"`{name}` cannot be read; see errors.", errors=[problem]) from None

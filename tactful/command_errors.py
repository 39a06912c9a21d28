"""What a command tells people when it does not succeed, and the exit code that it tells programs.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused by policy (own edit, a role that may not).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from schemas.documents import DocumentError

FAILED, NOT_FOUND, REFUSED = 1, 3, 4
_EXIT = {404: NOT_FOUND, 403: REFUSED}
_HINTS = {
    "unauthorised": "set TACTFUL_ADMIN_KEY to a key that is known there, or TACTFUL_DATA_DIR to the directory of"
    " `tactful dev`",
    "own_edit": "let somebody else approve it: a person is the name of a key",
    "forbidden": "use a key whose role may do this; `tactful keys list` shows the roles",
}


class CommandError(Exception):
    """A command failed: `what` went wrong, `where` line by line, `how` to mend it."""

    def __init__(
        self, what: str, *, where: Iterable[str] = (), how: str | None = None, exit_code: int = FAILED
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.how, self.exit_code = what, list(where), how, exit_code


def of_response(response: httpx.Response) -> CommandError:
    """The error that an answer reports: problem+json, or whatever a gateway in between said."""
    problem = _problem(response)
    code = str(problem.get("code", ""))
    what = str(
        problem.get("detail") or f"{response.request.method} {response.request.url.path}: {response.status_code}"
    )
    where = [f"{item.get('pointer') or '/'}: {item.get('detail')}" for item in problem.get("errors") or ()]
    if response.status_code >= 500 and problem.get("trace_id"):
        where.append(f"trace_id {problem['trace_id']}")
    return CommandError(
        f"{what} ({code})" if code else what,
        where=where,
        how=_HINTS.get(code),
        exit_code=_EXIT.get(response.status_code, FAILED),
    )


def of_document(name: str, error: DocumentError) -> CommandError:
    """The error that a document on our side has."""
    count = len(error.errors)
    where = [f"{pointer or '/'}: {detail}" for pointer, _, detail in error.errors]
    return CommandError(f"{name}: {count} {'fault' if count == 1 else 'faults'}", where=where)


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

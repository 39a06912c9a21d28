"""What a command tells people when it does not succeed, and the exit code that it tells programs.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused by policy (own edit, a role that may not).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from schemas.documents import DocumentError

EXIT_FAILED, EXIT_NOT_FOUND, EXIT_REFUSED = 1, 3, 4
_EXIT_CODES = {404: EXIT_NOT_FOUND, 403: EXIT_REFUSED}
_HINTS = {
    "unauthorised": "set TACTFUL_ADMIN_KEY to a key that is known there, or TACTFUL_DATA_DIR to the directory of"
    " `tactful dev`",
    "own_edit": "let somebody else approve it: a person is the name of a key",
    "forbidden": "use a key whose role may do this; `tactful keys list` shows the roles",
}


class CommandError(Exception):
    """A command failed: `what` went wrong, `where` line by line, `how` to mend it."""

    def __init__(
        self, message: str, *, details: Iterable[str] = (), hint: str | None = None, exit_code: int = EXIT_FAILED
    ) -> None:
        super().__init__(message)
        self.message, self.details, self.hint, self.exit_code = message, list(details), hint, exit_code


def error_from_response(response: httpx.Response) -> CommandError:
    """The error that an answer reports: problem+json, or whatever a gateway in between said."""
    problem = _parse_problem(response)
    code = str(problem.get("code", ""))
    message = str(
        problem.get("detail") or f"{response.request.method} {response.request.url.path}: {response.status_code}"
    )
    details = [f"{item.get('pointer') or '/'}: {item.get('detail')}" for item in problem.get("errors") or ()]
    if response.status_code >= 500 and problem.get("trace_id"):
        details.append(f"trace_id {problem['trace_id']}")
    return CommandError(
        f"{message} ({code})" if code else message,
        details=details,
        hint=_HINTS.get(code),
        exit_code=_EXIT_CODES.get(response.status_code, EXIT_FAILED),
    )


def error_from_document(name: str, error: DocumentError) -> CommandError:
    """The error that a document on our side has."""
    count = len(error.errors)
    details = [f"{pointer or '/'}: {detail}" for pointer, _, detail in error.errors]
    return CommandError(f"{name}: {count} {'fault' if count == 1 else 'faults'}", details=details)


def _parse_problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

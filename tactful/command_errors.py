"""Errors of commands: the text for people and the exit code for programs.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused (own edit, or a role without the permission).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from schemas.documents import DocumentError

EXIT_FAILED, EXIT_NOT_FOUND, EXIT_REFUSED = 1, 3, 4
_EXIT_CODES = {404: EXIT_NOT_FOUND, 403: EXIT_REFUSED}
_HINTS = {
    "unauthorised": "set TACTFUL_ADMIN_KEY to a valid key, or TACTFUL_DATA_DIR to the directory of `tactful dev`",
    "own_edit": "somebody else must approve it, with a key that its editor has not made; keys are told apart "
    "by their ids, persons and names",
    "forbidden": "use a key with a role that allows this; `tactful keys list` shows the roles",
}

_COMMANDS: Mapping[str, str] = {
    "GET /v1/holds": "tactful hold list --all",
    "PUT /v1/policy": "tactful policy apply FILE",
}
"""The commands for requests that the words of a refusal name."""
_COMMAND_OF_REQUEST = re.compile("|".join(map(re.escape, _COMMANDS)))


class CommandError(Exception):
    """A command failed: what went wrong, one line for each place, and how to fix it."""

    def __init__(
        self, message: str, *, details: Iterable[str] = (), hint: str | None = None, exit_code: int = EXIT_FAILED
    ) -> None:
        super().__init__(message)
        self.message, self.details, self.hint, self.exit_code = message, list(details), hint, exit_code


def error_from_response(response: httpx.Response) -> CommandError:
    """Convert an error response: problem+json, or what a gateway in between returned."""
    problem = _parse_problem(response)
    code = str(problem.get("code", ""))
    message = str(
        problem.get("detail") or f"{response.request.method} {response.request.url.path}: {response.status_code}"
    )
    message = _COMMAND_OF_REQUEST.sub(lambda found: f"`{_COMMANDS[found[0]]}`", message)
    if problem.get("errors"):
        message = message.removesuffix("; see errors.")  # they follow
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
    """Convert the errors of a document that was validated here, before sending."""
    count = len(error.errors)
    details = [f"{pointer or '/'}: {detail}" for pointer, _, detail in error.errors]
    return CommandError(f"{name}: {count} {'error' if count == 1 else 'errors'}", details=details)


def _parse_problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

"""The error tree of the whole product. A service adds leaves of its own below these.

TactfulError
  InternalError        a fault of ours, of which nobody knows whether it will happen again
  Transient            may succeed later; `retry_after` says when to try again
    FenceTimeout       a facts database has not yet applied the log up to the positions asked for
    DatabaseBusy       lock, deadlock, serialisation failure, no free connection, disk full
    DatabaseGone       connection lost or refused; the outcome of a commit may be unknown
    SealedValueUnreadable  a sealed value whose key is not set, or that was changed or moved
    BusGone            the log cannot be reached; the outcome of a publish may be unknown
  Permanent            will not succeed by trying again
    RejectedRecord     a record of the log that cannot be applied, with a problem for each part that is wrong
    Malformed 400, Unauthorised 401, Forbidden 403, NotFound 404, Conflict 409, WrongState 409,
    PreconditionFailed 412, TooLarge 413, Invalid 422, RateLimited 429
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a document: where (`pointer`, a JSON pointer), which (`code`) and how to fix it (`detail`).

    Problems of longer texts, such as templates, also have a line and a column, and may have a suggestion.
    """

    pointer: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None

    def as_document(self) -> dict[str, object]:
        """Returns the response form."""
        document: dict[str, object] = {"pointer": self.pointer, "code": self.code, "detail": self.detail}
        if self.line is not None or self.suggestion is not None:
            place = {"line": self.line, "column": self.column}
            document |= {**place, "suggestion": self.suggestion, "severity": "error"}
        return document


RecordProblem = Problem
"""A problem in a record of the log. `detail` never has a value of the record: it is stored and shown to operators."""


class TactfulError(Exception):
    """An error with a stable code, an HTTP status, and a text that says what, why and how to fix it."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *, code: str | None = None, errors: Iterable[Problem] = ()) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.default_code
        self.errors = list(errors)


class InternalError(TactfulError):
    """Something failed on our side. The log says what, under the `trace_id`."""

    default_code = "internal"


class Transient(TactfulError):
    """May succeed later. `retry_after` is in seconds."""

    status = 503
    title = "Unavailable"
    default_code = "unavailable"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float = 1.0,
        code: str | None = None,
        errors: Iterable[Problem] = (),
    ) -> None:
        super().__init__(detail, code=code, errors=errors)
        self.retry_after = retry_after


class FenceTimeout(Transient):
    """Our database did not apply the log up to the requested positions in the time allowed."""

    title = "Not caught up"
    default_code = "not_caught_up"


class DatabaseBusy(Transient):
    """The database refused temporarily: a lock, a deadlock, a serialisation failure, no free connection, no space."""

    default_code = "database_busy"


class DatabaseGone(Transient):
    """The connection was lost or refused. Whether a commit in progress took effect is unknown."""

    default_code = "database_gone"


class SealedValueUnreadable(Transient):
    """A sealed value cannot be opened: its key is not set, or it was changed or moved. Transient, so that a consumer
    waits for the key and parks no events.
    """

    default_code = "sealed_value_unreadable"


class BusGone(Transient):
    """The log cannot be reached. Whether a publish in progress took effect is unknown."""

    default_code = "bus_gone"


class Permanent(TactfulError):
    """Retrying will not help."""

    status = 422
    title = "Not possible"
    default_code = "permanent"


class RejectedRecord(Permanent):
    """A record of the log that cannot be applied as it is; `problems` names each part that is wrong."""

    default_code = "rejected_record"

    title = "Record not applied"

    def __init__(self, detail: str = "", *, problems: Iterable[RecordProblem] = ()) -> None:
        self.problems = tuple(problems)
        words = "; ".join(f"{each.pointer}: {each.detail}" if each.pointer else each.detail for each in self.problems)
        super().__init__(detail or words, errors=self.problems)


class Malformed(Permanent):
    """The request cannot be parsed."""

    status = 400
    title = "Malformed"
    default_code = "malformed"


class Unauthorised(Permanent):
    """No key, or an unknown key."""

    status = 401
    title = "Unauthorised"
    default_code = "unauthorised"


class Forbidden(Permanent):
    """The key is known but not permitted to do this."""

    status = 403
    title = "Forbidden"
    default_code = "forbidden"


class NotFound(Permanent):
    """The requested thing does not exist."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class Conflict(Permanent):
    """The thing's state does not allow this."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class WrongState(Conflict):
    """The action is not possible in the thing's state; the detail names what is."""

    default_code = "wrong_state"


class PreconditionFailed(Permanent):
    """The thing has changed since the version that the caller names."""

    status = 412
    title = "Changed since you read it"
    default_code = "precondition_failed"


class TooLarge(Permanent):
    """More bytes than allowed."""

    status = 413
    title = "Too large"
    default_code = "too_large"


class Invalid(Permanent):
    """A document breaks rules; `errors` lists each with its pointer."""

    status = 422
    title = "Invalid"
    default_code = "invalid"


class RateLimited(Permanent):
    """More requests than allowed. `retry_after` is in seconds."""

    status = 429
    title = "Too many requests"
    default_code = "rate_limited"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float = 1.0,
        code: str | None = None,
        errors: Iterable[Problem] = (),
    ) -> None:
        super().__init__(detail, code=code, errors=errors)
        self.retry_after = retry_after

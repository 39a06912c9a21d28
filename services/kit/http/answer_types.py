"""Types of answers that many routes share.

Answers are `TypedDict`s: mypy checks the code that builds them, OpenAPI shows them, and the tests hold every answer
against them. At run time they cost nothing.
"""

from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from schemas.vocabulary import Class

T = TypeVar("T")
TimeText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant in RFC 3339."""
AnyObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": True})]
"""An object whose fields depend on the data."""
AnyValue = Annotated[Any, WithJsonSchema({})]

ClassField = TypedDict("ClassField", {"class": Class})
"""The field `class`, which Python's syntax of classes cannot name."""


class Page(TypedDict, Generic[T]):
    """One page of a list. `next` is the `after` of the next page, and null on the last one."""

    items: list[T]
    next: str | None


class EnforcedFields(TypedDict):
    """Whether what was asked holds already; if not, `in_flight` messages are still being handed over."""

    enforced: bool
    in_flight: NotRequired[int | None]


class ProblemFields(TypedDict):
    """One problem: where, which, and how to mend it. A problem in a longer text has a line and a column in it."""

    pointer: str
    code: str
    detail: str
    line: NotRequired[int | None]
    column: NotRequired[int | None]
    suggestion: NotRequired[str | None]
    severity: NotRequired[str]

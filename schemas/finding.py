"""A finding: what is wrong, or may go wrong, in one place of a document, and how to mend it.

One form for what refuses a document when it is saved, for warnings beside an accepted one, for previews, and for the
cause that a failed message keeps, so that all of them use the same words. It never holds a customer's value.
"""

from enum import StrEnum
from typing import Any

import msgspec


class Severity(StrEnum):
    """Whether a finding refuses the document."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding. `pointer` is a JSON pointer into the document; `line` and `column` count from 1 inside its text.

    `variable` is the path whose value is the cause; `found` and `expected` are kinds of values in words.
    """

    pointer: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None
    severity: Severity = Severity.ERROR
    variable: str | None = None
    found: str | None = None
    expected: str | None = None

    def below(self, pointer: str) -> "Finding":
        """Returns the finding with its pointer below another one."""
        return msgspec.structs.replace(self, pointer=pointer + self.pointer)

    def as_document(self) -> dict[str, Any]:
        """Returns the response form. What is known about a value is left out where there is none."""
        causes = {"variable": self.variable, "found": self.found, "expected": self.expected}
        return {
            "pointer": self.pointer,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "detail": self.detail,
            "suggestion": self.suggestion,
            "severity": self.severity.value,
            **{name: value for name, value in causes.items() if value is not None},
        }


def warning(pointer: str, code: str, detail: str, suggestion: str | None = None) -> Finding:
    """Returns a warning about a whole field of a document."""
    return Finding(pointer, code, detail, suggestion=suggestion, severity=Severity.WARNING)

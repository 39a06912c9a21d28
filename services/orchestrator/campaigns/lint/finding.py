"""The form of a lint finding."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A consequence of a document that its author hardly intended.

    `pointer` is a JSON pointer into the document, `detail` the reason, `suggestion` the remedy.
    """

    pointer: str
    code: str
    detail: str
    suggestion: str

    def as_document(self) -> dict[str, str]:
        """Returns the finding in response form."""
        return asdict(self)

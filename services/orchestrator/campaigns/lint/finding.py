"""What a lint tells."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class LintFinding:
    """Something that follows from a document and that its writer hardly wanted.

    `pointer` is a JSON pointer into the document, `detail` the reason, `suggestion` what to do about it.
    """

    pointer: str
    code: str
    detail: str
    suggestion: str

    def as_document(self) -> dict[str, str]:
        """As it is answered."""
        return asdict(self)

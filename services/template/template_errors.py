"""Errors of templates, before and during rendering. Their texts contain no customer data."""

from schemas.finding import Finding


class TemplateSyntaxError(ValueError):
    """The source is not an acceptable template. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(f"line {line}, column {column}: {detail}")
        self.line, self.column, self.detail = line, column, detail


class RenderError(Exception):
    """The template cannot be rendered for these values. Says what is known about the cause, never a value.

    `field`: the field of the content that failed, None for the content as a whole. `line` and `column` count from 1.
    `variable` is the path as the template writes it; `found` and `expected` are kinds of values in words. `offset` is
    where in the rendered text of the field the fault lies; `excerpt` is what to look for in the source instead.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        place: tuple[int, int] | None = None,
        variable: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        offset: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.field = code, detail, field
        self.line: int | None
        self.column: int | None
        self.line, self.column = place or (None, None)
        self.variable, self.found, self.expected = variable, found, expected
        self.offset, self.excerpt = offset, excerpt
        self.pointer = ""
        self.suggestion: str | None = None

    def locate(self, pointer: str) -> None:
        """Sets where the content is that failed: `pointer` leads to its fields."""
        self.pointer = f"{pointer}/{self.field}" if self.field else pointer

    def to_finding(self) -> Finding:
        """Returns the error in the form of all findings."""
        return Finding(
            self.pointer,
            self.code,
            self.detail,
            self.line,
            self.column,
            self.suggestion,
            variable=self.variable,
            found=self.found,
            expected=self.expected,
        )

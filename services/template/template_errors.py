"""Errors of templates, before and during rendering. Their texts contain no customer data."""

from typing import Literal

RenderCode = Literal["undefined", "too_large", "too_much_work", "wrong_type", "unsafe_html", "unsafe_link"]


class TemplateSyntaxError(ValueError):
    """The source is not an acceptable template. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(f"line {line}, column {column}: {detail}")
        self.line, self.column, self.detail = line, column, detail


class RenderError(Exception):
    """The template cannot be rendered for these values."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail

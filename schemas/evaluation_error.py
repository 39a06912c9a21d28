"""The error of something that has no result for given values, with what a decision may keep about it."""

from typing import Any


class EvaluationError(Exception):
    """A rule or a condition has no result for these values. Neither text nor evidence holds a customer's value."""

    def evidence(self) -> dict[str, Any]:
        """What the verdict keeps: which variable, the kinds of value that were met and expected, line and column."""
        return {}

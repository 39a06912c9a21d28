"""The error tree: each leaf says whether trying again helps, and with which code and status."""

from __future__ import annotations

import pytest

from services.kit import errors
from services.kit.errors import Conflict, Permanent, Problem, TactfulError, Transient


def leaves(kind: type[TactfulError]) -> list[type[TactfulError]]:
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return [kind, *below] if kind.__module__ == errors.__name__ else below


@pytest.mark.parametrize("kind", [kind for kind in leaves(TactfulError)[1:] if kind is not errors.InternalError])
def test_every_error_is_transient_or_permanent_and_has_a_code(kind: type[TactfulError]) -> None:
    assert issubclass(kind, Transient) != issubclass(kind, Permanent)
    error = kind("why")
    assert (error.detail, str(error), error.errors) == ("why", "why", [])
    assert error.code == kind.default_code != "internal"
    assert (error.status == 503) == isinstance(error, Transient)
    assert kind.__name__ in (errors.__doc__ or "")


def test_an_error_carries_its_own_code_and_problems() -> None:
    problem = Problem("/a/0", "unknown_field", "did you mean b?")
    error = Conflict("it is stopped", code="wrong_state", errors=[problem])
    assert (error.code, error.errors, error.status) == ("wrong_state", [problem], 409)
    assert Transient(retry_after=3).retry_after == 3
    assert Transient().detail == "Unavailable"

"""What compiled conditions are made of: every part is a function of the environment, a mapping of names to values.

A missing field and any other error travel as exceptions. Where several values meet, the other error wins over the
missing field; beside a deciding side of `||` and `&&` both vanish.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from services.condition import values
from services.condition.values import EPOCH, ConditionError, MissingField

Environment = Mapping[str, Any]
Run = Callable[[Environment], Any]
Function = Callable[..., object]
FAULTS: Final = (ArithmeticError, ValueError, TypeError, RecursionError)


def constant(value: object) -> Run:
    """Always the same value."""
    return lambda _: value


def variable(name: str) -> Run:
    """A value that the caller passes; null or absent is a missing field."""

    def run(env: Environment) -> Any:
        value = env.get(name)
        if value is None:
            raise MissingField
        return value

    return run


def bound(name: str) -> Run:
    """A value that a macro binds; an element may be null."""
    return lambda env: env[name]


def select(of: Run, field: str) -> Run:
    """`of.field`."""

    def run(env: Environment) -> Any:
        holder = of(env)
        if type(holder) is not dict and not isinstance(holder, Mapping):
            raise ConditionError(f"a {values.kind(holder)} has no fields")
        found = holder.get(field)
        if found is None:
            raise MissingField
        return found

    return run


def has(of: Run, field: str) -> Run:
    """`has(of.field)`."""

    def run(env: Environment) -> bool:
        holder = of(env)
        if type(holder) is not dict and not isinstance(holder, Mapping):
            raise ConditionError(f"a {values.kind(holder)} has no fields")
        return holder.get(field) is not None

    return run


def instant(of: Run) -> Run:
    """Microseconds since 1970 as a timestamp."""
    return one(lambda value: EPOCH + timedelta(microseconds=value), of)


def call(function: Function, *args: object) -> object:
    """The function's value; its faults become ConditionError, without the values."""
    try:
        return function(*args)
    except FAULTS as error:
        raise ConditionError(f"no answer: {type(error).__name__}") from None


def one(function: Function, value: Run) -> Run:
    """A function of one value."""
    return lambda env: call(function, value(env))


def both(function: Function, left: Run, right: Run) -> Run:
    """A function of two values."""

    def run(env: Environment) -> object:
        try:
            a = left(env)
        except MissingField:
            right(env)
            raise
        b = right(env)
        try:
            return function(a, b)
        except FAULTS as error:
            raise ConditionError(f"no answer: {type(error).__name__}") from None

    return run


def every(function: Callable[[list[Any]], object], runs: tuple[Run, ...]) -> Run:
    """A function of a list of values."""

    def run(env: Environment) -> object:
        got, missing = [], False
        for each in runs:
            try:
                got.append(each(env))
            except MissingField:
                missing = True
        if missing:
            raise MissingField
        return call(function, got)

    return run


def chain(decides: bool, runs: tuple[Run, ...]) -> Run:
    """`||` (decides True) or `&&` (decides False)."""

    def run(env: Environment) -> bool:
        fault: Exception | None = None
        for each in runs:
            try:
                value: object = each(env)
            except MissingField as error:
                fault = fault or error
                continue
            except ConditionError as error:
                fault = error
                continue
            if value is decides:
                return decides
            if value is not (not decides):
                fault = ConditionError(f"needs a bool, not a {values.kind(value)}")
        if fault is not None:
            raise fault
        return not decides

    return run


def truth(value: Any) -> bool:
    """The value if it is a bool, else ConditionError."""
    if value is True:
        return True
    if value is False:
        return False
    raise ConditionError(f"needs a bool, not a {values.kind(value)}")


def choice(test: Run, then: Run, other: Run) -> Run:
    """`test ? then : other`; only the chosen side runs."""
    return lambda env: then(env) if truth(test(env)) else other(env)


def map_of(parts: list[object]) -> dict[object, object]:
    """A map from its keys and values in turn."""
    return dict(zip(map(values.key_of, parts[::2]), parts[1::2], strict=True))

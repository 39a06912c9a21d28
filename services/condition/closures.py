"""Closures of compiled conditions: every node becomes a function of the environment, a mapping of names to values.

Invariant: a missing field and other errors travel as exceptions. Where several operands meet, an error wins over a
missing field; `||` and `&&` discard both if the other side decides. So operands must be evaluated through the helpers
here, never directly.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from services.condition import values
from services.condition.condition_error import ConditionError, MissingField, Site
from services.condition.values import EPOCH

Environment = Mapping[str, Any]
Evaluator = Callable[[Environment], Any]
Function = Callable[..., object]
EVALUATION_ERRORS: Final = (ArithmeticError, ValueError, TypeError, RecursionError)
NO_RESULT: Final = "has no result for these values"


def constant(value: object) -> Evaluator:
    """Returns a function that always gives the same value."""
    return lambda _: value


def caller_variable(name: str) -> Evaluator:
    """Reads a variable of the caller; null or absent is a missing field."""

    def evaluate(env: Environment) -> Any:
        value = env.get(name)
        if value is None:
            raise MissingField(name)
        return value

    return evaluate


def macro_variable(name: str) -> Evaluator:
    """Reads a variable bound by a macro; an element may be null."""
    return lambda env: env[name]


def field_value(operand: Evaluator, field: str, path: str | None, site: Site) -> Evaluator:
    """Evaluates `of.field`. `path`: how it is written, where it is a variable."""

    def evaluate(env: Environment) -> Any:
        container = operand(env)
        if type(container) is not dict and not isinstance(container, Mapping):
            raise _no_fields(container, site)
        found = container.get(field)
        if found is None:
            raise MissingField(path)
        return found

    return evaluate


def field_presence(operand: Evaluator, field: str, path: str | None, site: Site) -> Evaluator:
    """Evaluates `has(of.field)`."""

    def evaluate(env: Environment) -> bool:
        container = operand(env)
        if type(container) is not dict and not isinstance(container, Mapping):
            raise _no_fields(container, site)
        return container.get(field) is not None

    return evaluate


def _no_fields(container: object, site: Site) -> ConditionError:
    return ConditionError("has no fields", "map").locate(site, values.kinds_of([container]))


def timestamp(operand: Evaluator, site: Site) -> Evaluator:
    """Converts microseconds since 1970 to a timestamp."""
    return unary(lambda value: EPOCH + timedelta(microseconds=value), operand, site)


def call_function(function: Function, site: Site, *args: object) -> object:
    """Calls a function; its errors become ConditionError with their place, without the values."""
    try:
        return function(*args)
    except ConditionError as error:
        raise error.locate(site, values.kinds_of(args)) from None
    except EVALUATION_ERRORS:
        raise ConditionError(NO_RESULT).locate(site, values.kinds_of(args)) from None


def unary(function: Function, value: Evaluator, site: Site) -> Evaluator:
    """Builds a function of one operand."""
    return lambda env: call_function(function, site, value(env))


def binary(function: Function, left: Evaluator, right: Evaluator, site: Site) -> Evaluator:
    """Builds a function of two operands."""

    def evaluate(env: Environment) -> object:
        try:
            a = left(env)
        except MissingField:
            right(env)
            raise
        b = right(env)
        try:
            return function(a, b)
        except ConditionError as error:
            raise error.locate(site, values.kinds_of((a, b))) from None
        except EVALUATION_ERRORS:
            raise ConditionError(NO_RESULT).locate(site, values.kinds_of((a, b))) from None

    return evaluate


def variadic(function: Callable[[list[Any]], object], evaluators: tuple[Evaluator, ...], site: Site) -> Evaluator:
    """Builds a function of a list of operands."""

    def evaluate(env: Environment) -> object:
        results: list[Any] = []
        missing: MissingField | None = None
        for evaluator in evaluators:
            try:
                results.append(evaluator(env))
            except MissingField as error:
                missing = missing or error
        if missing is not None:
            raise missing
        return call_function(function, site, results)

    return evaluate


def logical_chain(short_circuit: bool, evaluators: tuple[Evaluator, ...], sites: tuple[Site, ...]) -> Evaluator:
    """Builds `||` (True decides) or `&&` (False decides). `sites`: those of the operands."""

    def evaluate(env: Environment) -> bool:
        failure: Exception | None = None
        for index, evaluator in enumerate(evaluators):
            try:
                value: object = evaluator(env)
            except MissingField as error:
                failure = failure or error
                continue
            except ConditionError as error:
                failure = error
                continue
            if value is short_circuit:
                return short_circuit
            if value is not (not short_circuit):
                failure = no_bool(value, sites[index])
        if failure is not None:
            raise failure
        return not short_circuit

    return evaluate


def require_bool(value: Any, site: Site) -> bool:
    """Returns the value if it is a bool, else raises ConditionError."""
    if value is True:
        return True
    if value is False:
        return False
    raise no_bool(value, site)


def no_bool(value: object, site: Site) -> ConditionError:
    """The error of a value that should be true or false."""
    return ConditionError("is neither true nor false", "bool").locate(site, values.kinds_of([value]))


def conditional(test: Evaluator, then: Evaluator, other: Evaluator, site: Site) -> Evaluator:
    """Builds `test ? then : other`; only the chosen side is evaluated."""
    return lambda env: then(env) if require_bool(test(env), site) else other(env)


def build_map(parts: list[object]) -> dict[object, object]:
    """Builds a map from alternating keys and values."""
    return dict(zip(map(values.require_map_key, parts[::2]), parts[1::2], strict=True))

"""Macros: `all`, `exists`, `exists_one`, `filter`, `map` over the elements of a list or the keys of a map.

Inside them the environment also holds, under the name "", the remaining work budget of this evaluation.
"""

from typing import Any, Final

from services.condition import values
from services.condition.closures import Environment, Evaluator, Function, call_function, require_bool
from services.condition.functions import size
from services.condition.values import ConditionError, MissingField

MAX_WORK: Final = 10_000  # elements walked over, plus what functions inside macros handle
_UNMETERED: Final = (values.index, size)


def add_budget(env: Environment) -> dict[str, Any]:
    """Returns an environment with a work budget, for a condition that contains macros."""
    return {**env, "": [MAX_WORK]}


def spend_budget(env: Environment, work: int) -> None:
    """Deducts work from the budget. Raises ConditionError when it is exhausted."""
    budget = env[""]
    budget[0] -= work
    if budget[0] < 0:
        raise ConditionError(f"more than {MAX_WORK} steps")


def budgeted_call(function: Function, evaluators: tuple[Evaluator, ...]) -> Evaluator:
    """Builds a function call inside a macro: large operands cost work."""

    def evaluate(env: Environment) -> object:
        args, missing = [], False
        for evaluator in evaluators:
            try:
                args.append(evaluator(env))
            except MissingField:
                missing = True
        if missing:
            raise MissingField
        if function not in _UNMETERED:
            spend_budget(env, sum(map(values.cost, args)))
        return call_function(function, *args)

    return evaluate


def quantifier(short_circuit: bool, collection: Evaluator, variable: str, step: Evaluator) -> Evaluator:
    """Builds `exists` (True decides) or `all` (False decides): `||` or `&&` over the elements."""

    def evaluate(env: Environment) -> bool:
        failure: Exception | None = None
        inner = dict(env)
        for inner[variable] in values.elements(collection(env)):
            spend_budget(env, 1)
            try:
                if require_bool(step(inner)) is short_circuit:
                    return short_circuit
            except MissingField as error:
                failure = failure or error
            except ConditionError as error:
                failure = error
        if failure is not None:
            raise failure
        return not short_circuit

    return evaluate


def comprehension(collection: Evaluator, variable: str, keep: Evaluator | None, step: Evaluator | None) -> Evaluator:
    """Builds `filter` (no step) or `map`: the elements that `keep` accepts, transformed by `step`."""

    def evaluate(env: Environment) -> list[object]:
        inner, found, missing = dict(env), [], False
        for inner[variable] in values.elements(collection(env)):
            spend_budget(env, 1)
            try:
                if keep is None or require_bool(keep(inner)):
                    found.append(step(inner) if step else inner[variable])
            except MissingField:
                missing = True
        if missing:
            raise MissingField
        return found

    return evaluate

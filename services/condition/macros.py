"""Macros: `all`, `exists`, `exists_one`, `filter`, `map` over the elements of a list or the keys of a map.

Inside them the environment also holds, under the name "", the remaining work budget of this evaluation.
"""

from collections.abc import Iterator
from typing import Any, Final

from services.condition import values
from services.condition.closures import Environment, Evaluator, Function, call_function, require_bool
from services.condition.condition_error import ConditionError, MissingField, Site
from services.condition.functions import size

MAX_WORK: Final = 10_000  # elements walked over, plus what functions inside macros handle
_UNMETERED: Final = (values.index, size)


def add_budget(env: Environment) -> dict[str, Any]:
    """Returns an environment with a work budget, for a condition that contains macros."""
    return {**env, "": [MAX_WORK]}


def spend_budget(env: Environment, work: int, site: Site) -> None:
    """Deducts work from the budget. Raises ConditionError when it is exhausted."""
    budget = env[""]
    budget[0] -= work
    if budget[0] < 0:
        raise ConditionError(f"takes more than {MAX_WORK} steps").locate(site, ())


def _elements(collection: object, site: Site) -> Iterator[object]:
    try:
        yield from values.elements(collection)
    except ConditionError as error:
        raise error.locate(site, values.kinds_of([collection])) from None


def budgeted_call(function: Function, evaluators: tuple[Evaluator, ...], site: Site) -> Evaluator:
    """Builds a function call inside a macro: large operands cost work."""

    def evaluate(env: Environment) -> object:
        args: list[object] = []
        missing: MissingField | None = None
        for evaluator in evaluators:
            try:
                args.append(evaluator(env))
            except MissingField as error:
                missing = missing or error
        if missing is not None:
            raise missing
        if function not in _UNMETERED:
            spend_budget(env, sum(map(values.cost, args)), site)
        return call_function(function, site, *args)

    return evaluate


def quantifier(
    short_circuit: bool, collection: Evaluator, variable: str, step: Evaluator, site: Site, step_site: Site
) -> Evaluator:
    """Builds `exists` (True decides) or `all` (False decides): `||` or `&&` over the elements."""

    def evaluate(env: Environment) -> bool:
        failure: Exception | None = None
        inner = dict(env)
        for inner[variable] in _elements(collection(env), site):
            spend_budget(env, 1, site)
            try:
                if require_bool(step(inner), step_site) is short_circuit:
                    return short_circuit
            except MissingField as error:
                failure = failure or error
            except ConditionError as error:
                failure = error
        if failure is not None:
            raise failure
        return not short_circuit

    return evaluate


def comprehension(
    collection: Evaluator, variable: str, keep: Evaluator | None, step: Evaluator | None, site: Site, keep_site: Site
) -> Evaluator:
    """Builds `filter` (no step) or `map`: the elements that `keep` accepts, transformed by `step`."""

    def evaluate(env: Environment) -> list[object]:
        inner, found = dict(env), []
        missing: MissingField | None = None
        for inner[variable] in _elements(collection(env), site):
            spend_budget(env, 1, site)
            try:
                if keep is None or require_bool(keep(inner), keep_site):
                    found.append(step(inner) if step else inner[variable])
            except MissingField as error:
                missing = missing or error
        if missing is not None:
            raise missing
        return found

    return evaluate

"""Macros: `all`, `exists`, `exists_one`, `filter`, `map` over the elements of a list or the keys of a map.

Inside them an environment also holds, under "", what is left of the work that one evaluation may do.
"""

from typing import Any, Final

from services.condition import values
from services.condition.closures import Environment, Function, Run, call, truth
from services.condition.functions import size
from services.condition.values import ConditionError, MissingField

MAX_WORK: Final = 10_000  # elements walked over, plus what functions inside macros handle
_CHEAP: Final = (values.index, size)


def with_budget(env: Environment) -> dict[str, Any]:
    """An environment for a condition that holds macros."""
    return {**env, "": [MAX_WORK]}


def spend(env: Environment, work: int) -> None:
    """Takes work off the budget. Raises ConditionError when nothing is left."""
    budget = env[""]
    budget[0] -= work
    if budget[0] < 0:
        raise ConditionError(f"more than {MAX_WORK} steps")


def weighed(function: Function, runs: tuple[Run, ...]) -> Run:
    """A function of several values inside a macro: big values cost work."""

    def run(env: Environment) -> object:
        args, missing = [], False
        for each in runs:
            try:
                args.append(each(env))
            except MissingField:
                missing = True
        if missing:
            raise MissingField
        if function not in _CHEAP:
            spend(env, sum(map(values.weight, args)))
        return call(function, *args)

    return run


def quantified(decides: bool, over: Run, variable: str, step: Run) -> Run:
    """`exists` (decides True) or `all` (decides False): `||` or `&&` over the elements."""

    def run(env: Environment) -> bool:
        fault: Exception | None = None
        inner = dict(env)
        for inner[variable] in values.elements(over(env)):
            spend(env, 1)
            try:
                if truth(step(inner)) is decides:
                    return decides
            except MissingField as error:
                fault = fault or error
            except ConditionError as error:
                fault = error
        if fault is not None:
            raise fault
        return not decides

    return run


def collected(over: Run, variable: str, keep: Run | None, step: Run | None) -> Run:
    """`filter` (no step) or `map`: the elements that `keep` accepts, put through `step`."""

    def run(env: Environment) -> list[object]:
        inner, found, missing = dict(env), [], False
        for inner[variable] in values.elements(over(env)):
            spend(env, 1)
            try:
                if keep is None or truth(keep(inner)):
                    found.append(step(inner) if step else inner[variable])
            except MissingField:
                missing = True
        if missing:
            raise MissingField
        return found

    return run

"""Macros: `all`, `exists`, `exists_one`, `filter`, `map` over the elements of a list or the keys of a map.

Each step pays `price` from the budget: one unit, and more where its body is long.
"""

from collections.abc import Iterator, Mapping

from services.condition import values
from services.condition.budget import ERROR_WORK, spend
from services.condition.closures import Environment, Evaluator, require_bool
from services.condition.condition_error import ConditionError, MissingField, Site


def _elements(env: Environment, collection: object, site: Site) -> Iterator[object]:
    if isinstance(collection, Mapping):
        spend(env, len(collection), site)  # its keys without nulls are collected first
    try:
        yield from values.elements(collection)
    except ConditionError as error:
        raise error.locate(site, values.kinds_of([collection])) from None


def quantifier(
    short_circuit: bool, collection: Evaluator, variable: str, step: Evaluator, price: int, site: Site, step_site: Site
) -> Evaluator:
    """Builds `exists` (True decides) or `all` (False decides): `||` or `&&` over the elements."""

    def evaluate(env: Environment) -> bool:
        failure: Exception | None = None
        inner = dict(env)
        for inner[variable] in _elements(env, collection(env), site):
            spend(env, price, site)
            try:
                if require_bool(step(inner), step_site) is short_circuit:
                    return short_circuit
            except MissingField as error:
                failure = failure or error
                spend(env, ERROR_WORK, site)
            except ConditionError as error:
                failure = error
                spend(env, ERROR_WORK, site)
        if failure is not None:
            raise failure
        return not short_circuit

    return evaluate


def comprehension(
    collection: Evaluator,
    variable: str,
    keep: Evaluator | None,
    step: Evaluator | None,
    price: int,
    site: Site,
    keep_site: Site,
) -> Evaluator:
    """Builds `filter` (no step) or `map`: the elements that `keep` accepts, transformed by `step`."""

    def evaluate(env: Environment) -> list[object]:
        inner, found = dict(env), []
        missing: MissingField | None = None
        for inner[variable] in _elements(env, collection(env), site):
            spend(env, price, site)
            try:
                if keep is None or require_bool(keep(inner), keep_site):
                    found.append(step(inner) if step else inner[variable])
            except MissingField as error:
                missing = missing or error
                spend(env, ERROR_WORK, site)
        if missing is not None:
            raise missing
        return found

    return evaluate

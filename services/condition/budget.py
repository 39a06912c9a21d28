"""The work budget of one evaluation: what a condition may touch of an event, however large the event is.

Every operator whose time depends on its operands pays before it runs: a walk pays for each element, and a function for
what it looks at. An evaluation over its budget ends in ConditionError, after milliseconds. Operators that are bounded
by the text of the condition, such as a comparison with a literal, pay nothing, so that usual conditions cost no more.

The remaining work is held by the environment, under a name that no condition can write.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.extent import extent
from services.condition import functions, values
from services.condition.closures import Environment, Evaluator, Function, call_function
from services.condition.condition_error import ConditionError, MissingField, Site

MAX_WORK: Final = 10_000
"""Elements at all levels, and pieces of 256 characters."""
NODES_OF_A_STEP: Final = 4
"""Nodes of the body of a macro that are evaluated for one unit, at each element."""
ERROR_WORK: Final = 2
"""What an element costs besides whose test has no result: an exception takes as long as some nodes."""
_CONVERSION_WORK: Final = 3
"""What a conversion costs, or reading a part of a time, besides what it looks at."""
_NAME: Final = ""


def add_budget(env: Environment) -> dict[str, Any]:
    """Returns an environment with a whole budget."""
    return {**env, _NAME: [MAX_WORK]}


def spend(env: Environment, work: int, site: Site) -> None:
    """Deducts work from the budget. Raises ConditionError when it is exhausted."""
    budget = env[_NAME]
    budget[0] -= work
    if budget[0] < 0:
        raise ConditionError(f"takes more than {MAX_WORK} steps").locate(site, ())


def paid_call(function: Function, evaluators: tuple[Evaluator, ...], site: Site) -> Evaluator:
    """Builds a call that pays for what it touches."""
    price = _PRICES.get(function, _price_of_all)

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
        spend(env, price(env[_NAME][0], *args), site)
        return call_function(function, site, *args)

    return evaluate


def _price_of_all(limit: int, *args: object) -> int:
    return sum(extent(arg, limit) for arg in args)


def _price_of_equality(limit: int, a: Any, b: Any) -> int:
    if isinstance(a, list) and isinstance(b, list) and len(a) != len(b):
        return 0
    return _price_of_all(limit, a, b)


def _price_of_index(limit: int, container: Any, key: Any) -> int:
    return len(container) if isinstance(container, Mapping) and not isinstance(key, str) else 0


def _price_of_size(limit: int, value: Any) -> int:
    return len(value) if isinstance(value, Mapping) else 0


def _price_of_conversion(limit: int, *args: object) -> int:
    return _CONVERSION_WORK + _price_of_all(limit, *args)


_PRICES: Final[dict[Function, Callable[..., int]]] = {
    values.equal: _price_of_equality,
    values.unequal: _price_of_equality,
    values.index: _price_of_index,
    functions.size: _price_of_size,
    **{
        signature.function: _price_of_conversion
        for name, signature in functions.FUNCTIONS.items()
        if name in ("timestamp", "duration", "double", "int", "string") or name.startswith("get")
    },
}

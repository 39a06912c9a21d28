"""Measures what the condition evaluator and the template translation save over the libraries that they stand in for.

`python -m tests.bench.handwritten` prints microseconds of CPU time per evaluation and per rendering, the least of
several rounds. The decision records 0004, 0007 and 0015 quote it.
"""

from collections.abc import Callable
from time import process_time

from cel_expr_python import cel

from services.condition import compile_condition
from services.template import compile_template

CONDITIONS = (
    "event.data.total >= 50",
    "event.data.total >= 50 && event.data.country in ['DE', 'AT', 'CH']",
    "has(event.data.coupon) || event.data.items.exists(item, item.price > 30.0)",
    "event.data.order.matches('^[A-Z]{2}-[0-9]+$')",
)
EVENT = {
    "type": "shop.order.delivered",
    "subject": "c-1",
    "data": {
        "total": 80,
        "country": "AT",
        "order": "DE-12345",
        "items": [{"name": f"item {number}", "price": 10.0 * number} for number in range(5)],
    },
}
TEMPLATE = (
    """Hello {{ customer.name | default: "there" }},
{% if event.data.total > 50 %}thank you for your order of {{ event.data.total }} {{ event.data.currency }}.{% endif %}
{% for item in event.data.items %}- {{ item.name }}: {{ item.price }}
{% endfor %}"""
    + "Returns are free for thirty days. " * 20
)
VALUES = {
    "customer": {"name": "Ada"},
    "event": {**EVENT, "data": {**EVENT["data"], "currency": "EUR"}},  # type: ignore[dict-item]
}


def microseconds(action: Callable[[], object], rounds: int = 9, calls: int = 2000) -> float:
    """CPU time of one call: the least of several rounds, because other processes only add to it."""
    best = float("inf")
    for _ in range(rounds):
        began = process_time()
        for _ in range(calls):
            action()
        best = min(best, (process_time() - began) / calls)
    return best * 1e6


def main() -> None:
    """Print the comparison."""
    environment = cel.NewEnv(variables={"event": cel.Type.DYN})
    for text in CONDITIONS:
        ours, library = compile_condition(text, frozenset({"event"})), environment.compile(text)
        assert ours({"event": EVENT}) is library.eval(data={"event": EVENT}).value()
        mine = microseconds(lambda run=ours: run({"event": EVENT}))  # type: ignore[misc]
        theirs = microseconds(lambda run=library: run.eval(data={"event": EVENT}))  # type: ignore[misc]
        print(f"condition {mine:6.2f} us, cel-expr-python {theirs:6.2f} us: {text}")
    template = compile_template(TEMPLATE, html=False)
    assert template.translation is not None
    assert template.render(VALUES) == template.render_with_engine(VALUES)
    mine = microseconds(lambda: template.render(VALUES))
    theirs = microseconds(lambda: template.render_with_engine(VALUES))
    print(
        f"template  {mine:6.2f} us, python-liquid   {theirs:6.2f} us: {len(TEMPLATE)} characters, a branch, a loop of 5"
    )


if __name__ == "__main__":
    main()

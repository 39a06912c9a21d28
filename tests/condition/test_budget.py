"""No condition takes long over any event of the size that is taken: every operator pays for what it touches."""

import pytest

from schemas.extent import extent
from services.condition import ConditionError, compile_condition
from services.condition.budget import MAX_WORK
from tests.support.processor_time import processor_seconds

VARIABLES = frozenset({"event.data"})
NUMBERS = list(range(49_000))
DATA = {
    "l": NUMBERS,
    "same": list(NUMBERS),
    "some": list(range(300)),
    "m": {f"k{number}": number for number in range(20_000)},
    "deep": [[[number] for number in range(50)] for _ in range(200)],
    "t": "1" * 900_000 + "x",
    "short": "1" * 20_000 + "x",
    "words": ["x"] * 20_000,
    "times": ["2026-01-01T00:00:00Z"] * 11_000,
    "spans": "1h" * 10_000 + "x",
}
DEADLINE = 0.04
"""Seconds. Each takes less than half of it on a machine with nothing else to do; tests run two at a time."""

EXPENSIVE = {
    "a long list, element by element": "event.data.l.all(x, x >= 0)",
    "a list in a list": "event.data.some.all(x, event.data.l.exists(y, y == x))",
    "the size of a map at each step": "event.data.l.all(x, size(event.data.m) > 0)",
    "a place of a map by a number at each step": "event.data.some.all(x, event.data.m[x] > 0)",
    "the keys of a map at each step": "event.data.l.all(x, event.data.m.exists(y, true))",
    "two long lists": "event.data.l == event.data.same",
    "two deep lists": "event.data.deep != event.data.deep",
    "a long body": f"event.data.l.all(x, {' || '.join(f'x == -{number}' for number in range(1, 200))} || true)",
    "in a long list": "'a' in event.data.l",
    "in a map": "'a' in event.data.m",
    "a text in a text": "event.data.t.contains(event.data.short)",
    "a sum of lists": "size(event.data.l + event.data.l) > 0",
    "a pattern": "event.data.t.matches('(1+)+y')",
    "often": " || ".join(["'a' in event.data.l"] * 100),
    "numbers that are none": "event.data.words.exists(x, int(x) > 1)",
    "fields of what has none": "event.data.l.exists(x, x.a.b > 1)",
    "keys that are missing": "event.data.l.exists(x, event.data.m['none'] == 1)",
    "divisions by zero": "event.data.l.exists(x, x % 0 == 1 || x % 0 == 2 || x % 0 == 3)",
    "times": "event.data.times.exists(x, timestamp(x) < event.data.l)",
    "hours in zones": "event.data.times.exists(x, timestamp(x).getHours('Europe/Berlin') > 100)",
    "hours in no zone": "event.data.times.exists(x, timestamp(x).getHours('Nowhere/Land') > 100)",
    "spans": "event.data.l.exists(x, duration(string(x) + 's') < duration('0s'))",
    "texts that grow": "size(event.data.some.map(x, event.data.short + event.data.short)) > 0",
}


@pytest.mark.parametrize("text", EXPENSIVE.values(), ids=EXPENSIVE)
def test_no_condition_takes_long(text: str) -> None:
    condition = compile_condition(text, VARIABLES)
    assert processor_seconds(lambda: condition({"event": {"data": DATA}}), ConditionError) < DEADLINE


@pytest.mark.parametrize("text", ["double(event.data.short)", "double(event.data.t)", "int(event.data.short)"])
def test_a_text_that_is_no_number_is_refused_in_linear_time(text: str) -> None:
    condition = compile_condition(f"{text} > 0", VARIABLES)
    with pytest.raises(ConditionError):
        condition({"event": {"data": DATA}})
    assert processor_seconds(lambda: condition({"event": {"data": DATA}}), ConditionError) < DEADLINE


@pytest.mark.parametrize(
    "text", ["duration(event.data.spans) > duration('1s')", "timestamp(event.data.t) > event.data.t"]
)
def test_a_text_that_is_no_time_is_refused_in_linear_time(text: str) -> None:
    condition = compile_condition(text, VARIABLES)
    assert processor_seconds(lambda: condition({"event": {"data": DATA}}), ConditionError) < DEADLINE


@pytest.mark.parametrize(
    "text",
    [
        "event.data.t != 'short'",  # no further than the literal reaches
        "event.data.l != [1, 2]",  # of another length
        "'k7' in event.data.some || size(event.data.l) == 49000",
        "event.data.m['k7'] == 7",
        "event.data.some.all(x, x < 300)",
        "event.data.t in ['a', 'b'] || true",
    ],
)
def test_what_touches_little_of_a_large_event_has_a_result(text: str) -> None:
    assert compile_condition(text, VARIABLES)({"event": {"data": DATA}}) is True


def test_the_extent_is_not_counted_beyond_what_may_be_spent() -> None:
    nested: list[object] = [*NUMBERS]
    for _ in range(40):
        nested = [nested] * 1000  # 1000 to the power of 40 elements, a few of which exist
    assert extent(nested, MAX_WORK) > MAX_WORK

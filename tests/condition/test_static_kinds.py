"""What can never be evaluated in a condition is found when it is saved."""

from contextlib import nullcontext

import pytest

from services.condition import ConditionSyntaxError
from services.condition.static_kinds import check_constants, check_kinds
from services.orchestrator.campaigns.conditions import VARIABLE_KINDS, VARIABLE_SPELLINGS


@pytest.mark.parametrize(
    ("text", "column", "detail"),
    [
        ("'vip'", 1, "this is text"),
        ("1 + 2", 3, "this is a sum"),
        ("size(customer.traits)", 1, "this is a number"),
        ("customer.id", 10, "this is text"),
        ("customer['locale']", 9, "this is text"),
        ("event.time", 7, "this is a time"),
        ("event.data", 7, "this is an object"),
        ("event.time.getHours()", 12, "this is a number"),
        ("[1].map(x, x)", 5, "this is a list"),
        ("customer.traits.vip ? 1 : 2", 23, "this is a number"),
        ("customer.traits.vip ? true : 'no'", 30, "this is text"),
        ("customer.traits.vip && 'x'", 24, "this is text"),
        ("customer.traits.vip || (true && null)", 33, "this is nothing"),
        ("!5", 2, "this is a number"),
        ("event.data.l.exists(x, 'a')", 24, "this is text"),
        ("event.type > 5", 12, "text cannot be compared with a number"),
        ("has(event.data.a) && event.time < '2026-01-01'", 33, "a time cannot be compared with text"),
        ("customer.zone.foo == 'x'", 15, "`customer.zone` is text, and has no field `foo`"),
        ("has(customer.id.name)", 1, "`customer.id` is text, and has no field `name`"),
        ("event.time.year == 2026", 12, "`event.time` is a time, and has no field `year`"),
        ("event.data[0] == 1", 11, "an object has fields, and no positions"),
        ("customer.id['a'] == 1", 12, "`customer.id` is text, and has no field `a`"),
        ("event.data.x / 0 == 1", 14, "`/` fails here for every value: it divides by zero"),
        ("event.data.x % 0 == 1", 14, "`%` fails here for every value: it divides by zero"),
        ("event.data.l.exists(x, x.a / 0 > 1)", 28, "it divides by zero"),
        ("double('x') == 1.0", 1, "`double` fails here for every value"),
        ("timestamp('2026-13-01T00:00:00Z') < event.time", 1, "`timestamp` fails here for every value"),
        ("duration('7x') < duration('1h')", 1, "`duration` fails here for every value"),
        ("event.time.getHours('Berlin') < 8", 12, "it names an unknown time zone"),
        ("customer.id.getHours() < 8", 13, "`getHours` fails here for every value"),
        ("event.time.startsWith('2026')", 12, "`startsWith` fails here for every value"),
        ("customer.id + 1 == 'a'", 13, "`+` fails here for every value"),
        ("'a' in customer.locale", 5, "`in` fails here for every value"),
        ("customer.country == 'de'", 21, "`customer.country` is never `de`; write `DE`"),
        ("'UK' != customer['country']", 1, "did you mean `GB`?"),
        ("customer.country in ['DE', 'at']", 28, "is never `at`; write `AT`"),
        ("customer.locale == 'de_DE'", 20, "write `de-DE`"),
        ("customer.zone == 'Berlin'", 18, "did you mean `Europe/Berlin`?"),
    ],
)
def test_what_is_never_true_or_false_is_refused_with_its_place(text: str, column: int, detail: str) -> None:
    with pytest.raises(ConditionSyntaxError) as caught:
        check_kinds(text, VARIABLE_KINDS, VARIABLE_SPELLINGS)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "customer.traits.vip",
        "event.data.total >= 50 && customer.country in ['DE', 'AT']",
        "has(event.data.a) ? event.data.a : customer.traits.b == 'x'",
        "event.time > timestamp('2026-01-01T00:00:00Z') - duration('24h')",
        "event.data.l.exists(x, x.a > 1) || event.data.l.filter(x, x.b).size() > 0",
        "event.data.l.map(x, x.a)[0] == 1 && bool(event.data.flag) && dyn(event.data.a)",
        "event.time.getHours('Europe/Berlin') < 8 || event.time.getHours(customer.zone) < 8",
        "event.data.l.map(x, x.a / event.data.n)[0] > 1 && 5.0 / 0.0 > 1.0 && 'a' in customer.traits",
        "customer.country in ['DE', 'XK'] && customer.zone != 'Europe/Berlin' && customer.locale == 'de-DE'",
        "customer.locale in event.data.locales && int(event.data.text) == 7 && duration(event.data.d) > duration('1h')",
        "customer.id.startsWith('c') && !(event.type == 'a') && event.time.getHours() < 8",
    ],
)
def test_what_may_be_true_is_not_refused(text: str) -> None:
    check_kinds(text, VARIABLE_KINDS, VARIABLE_SPELLINGS)


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("event.type == 'shop.offer'", True),
        ("event.type == 'other'", False),
        ("'other' == event['type']", False),
        ("event.type != 'shop.offer'", False),
        ("event.type in ['other', 'more']", False),
        ("event.type in ['other', 'shop.offer']", True),
        ("event.type.startsWith('sales.')", False),
        ("!event.type.contains('offer')", False),
        ("event.type == 'other' && event.data.total > 5", False),
        ("event.type == 'other' || event.data.total > 5", True),
        ("event.type == 'other' ? event.data.a : false", False),
        ("event.type == 'other' || customer.country == 'DE' && event.type == 'more'", False),
        ("event.type == 5", False),
        ("event.data.type == 'other'", True),
        ("false", True),
        ("1 == 2 && event.type == 'shop.offer'", True),
        ("event.data.exists(event, event.type == 'other')", True),
    ],
)
def test_what_a_known_value_makes_false_for_ever_is_refused(text: str, possible: bool) -> None:
    is_refused = pytest.raises(ConditionSyntaxError, match=r"`event\.type` is always `shop\.offer`")
    with nullcontext() if possible else is_refused:
        check_constants(text, {"event.type": "shop.offer"})

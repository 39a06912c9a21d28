"""What `{{ }}` prints: values as people write them, and never Python's text for a list or an object."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.template import RenderError, compile_template
from services.template.value_text import number_text

VALUES: dict[str, Any] = {
    "x": {
        "list": [1, "b"], "object": {"a": 1}, "mixed": [0.1, True, None, "é"], "noise": 0.30000000000000004,
        "noise16": 0.7999999999999999, "tiny": 1e-05, "huge": 1e22, "whole": 12.0, "yes": True, "none": None,
        "days": "7", "underscore": "1_000", "text": "ab", "count": 3, "zero": 0,
    }
}  # fmt: skip

EACH = "0.3120.00001"


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 2.5 | round }} {{ -2.5 | round }} {{ 0.5 | round }} {{ 1.5 | round }}", "3 -3 1 2"),
        ("{{ 0.125 | round: 2 }} {{ 1.005 | round: 2 }} {{ -0.125 | round: 2 }}", "0.13 1.01 -0.13"),
        ("{{ 5 | round: 2 }} {{ 1250 | round: -2 }} {{ '2.5' | round }}", "5 1300 3"),
        ("{{ x.noise }} {{ x.noise16 }} {{ 20 | divided_by: 7.0 }}", "0.3 0.8 2.857142857142857"),
        ("{{ x.tiny }} {{ x.huge }} {{ x.whole }} {{ -0.0 }}", "0.00001 10000000000000000000000 12 0"),
        ("{{ x.tiny | append: '' }} {{ x.tiny | prepend: x.whole }}", "0.00001 120.00001"),
        ("{{ 10 | divided_by: 4 }} {{ 10 | divided_by: 4.0 }} {{ 10.0 | divided_by: 5 }}", "2 2.5 2"),
        ("{{ 0.1 | plus: 0.2 }} {{ 3 | times: 1.1 }} {{ 1.1 | minus: 1 }}", "0.3 3.3 0.1"),
        ("{{ x.yes }} {{ false }} {{ nil }}| {{ x.yes | append: x.yes }}", "true false | truetrue"),
        ("{{ 'abcde' | truncate: 5 }} {{ 'abcdef' | truncate: 5 }} {{ 'abcdef' | truncate: 2 }}", "abcde ab... ..."),
        ("{{ 'abcdef' | truncate: 0 }} {{ 'abcdef' | truncate: -1, '' }}|{{ 'abcd' | truncate: 3, 2.0 }}", "... |ab2"),
        ("{{ 'a b' | truncatewords: 2 }} {{ 'a b c' | truncatewords: 2 }} {{ 'a b' | truncatewords: 0, '' }}",
         "a b a b... a"),
        ("{{ x.mixed | join: ', ' }}", "0.1, true, , é"),
        ("{{ x.list | size }} {{ x.list | first }} {{ (1..3) }}", "2 1 1..3"),
        ("{% assign t = x.noise %}{{ t }}{% capture c %}{{ x.whole }}{% endcapture %}{{ c }}{% echo x.tiny %}", EACH),
        ("{% cycle x.whole, 1 %}{% case x.whole %}{% when 12 %} same{% endcase %}", "12 same"),
        ("{{ x.text | truncate: 5 }} {{ x.text | slice: 1 }} {{ x.whole | slice: 0 }}", "ab b 1"),
    ],
)  # fmt: skip
def test_values_print_as_people_write_them(source: str, text: str, html: bool) -> None:
    template = compile_template(source, html)
    assert template.render(VALUES) == text
    assert template.render_with_engine(VALUES) == text


@given(st.integers(-(10**17), 10**17), st.integers(0, 20))
def test_a_number_is_its_shortest_text_or_one_of_15_digits_that_is_shorter_by_three(digits: int, places: int) -> None:
    number = digits / 10**places
    shortest, rounded = repr(number), f"{number:.15g}"
    shown = Decimal(rounded if len(rounded) <= len(shortest) - 3 else shortest)
    text = number_text(number)
    assert Decimal(text) == shown and "e" not in text.lower()
    assert not (text.endswith((".", ".0")) or text == "-0" or ("." in text and text.endswith("0")))


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    ("source", "variable", "found"),
    [
        ("{{ x.list }}", "x.list", "a list"),
        ("{{ x.object }}", "x.object", "an object"),
        ("{{ x }}", "x", "an object"),
        ("{% echo x.object %}", "x.object", "an object"),
        ("{% cycle x.object, 1 %}", "x.object", "an object"),
        ("{{ x.object | append: '' }}", "x.object", "an object"),
        ("{{ 'a' | prepend: x.object }}", "x.object", "an object"),
        ("{{ x.text | replace: 'a', x.list }}", "x.text", "a list"),
        ("{{ x.object | upcase }}", "x.object", "an object"),
        ("{{ x.object | join }}", "x.object", "an object"),
        ("{{ x.nested | default: x.list }}", "x.nested", "a list"),
        ("{% capture c %}{{ x.list }}{% endcapture %}", "x.list", "a list"),
        ("{% for each in x.object %}{{ each }}{% endfor %}", "each", "a list"),
        ("{{ x.list | sort_natural | slice: 0, 2 }}", "x.list", "a list"),
    ],
)
def test_a_list_or_an_object_is_an_error_wherever_it_would_be_printed(
    source: str, variable: str, found: str, html: bool
) -> None:
    with pytest.raises(RenderError) as caught:
        compile_template(source, html, "text").render(VALUES)
    error = caught.value
    assert (error.code, error.field, error.variable, error.found) == ("wrong_type", "text", variable, found)
    assert (error.line, error.expected) == (1, "text or a number")


@pytest.mark.parametrize(
    ("source", "place", "variable", "found", "expected"),
    [
        ("{{ x.mixed | sum }}", (1, 14), "x.mixed", "true or false", "a number"),
        ("{{ x.underscore | plus: 1 }}", (1, 19), "x.underscore", "text", "a number"),
        ("a\n{{ x.nope }}", (2, 4), "x.nope", "nothing", "a value"),
        ("{{ x.none | times: 2 }}", (1, 4), "x.none", "nothing", "a value"),
        ("{{ 2 | plus: x.nope }}", (1, 14), "x.nope", "nothing", "a value"),
        ("{% if x.days > 5 %}{% endif %}", (1, 14), "x.days", "text", "a number"),
        ("{% if 5 < x.days %}{% endif %}", (1, 9), "x.days", "text", "a number"),
        ("{% if x.yes and x.days < 5 %}{% endif %}", (1, 24), "x.days", "text", "a number"),
        ("{% if x.count contains 1 %}{% endif %}", (1, 15), "x.count", "a number", "text or a list"),
        ("{{ x.text | date: '%Y' }}", (1, 13), "x.text", "text", "a time (RFC 3339, or seconds since 1970)"),
        ("{{ x.count | map: 'a' }}", (1, 14), "x.count", "a number", "a list with items that fit"),
        ("{{ 2 | divided_by: x.zero }}", (1, 8), "x.zero", "zero", "another number"),
        ("{{ x.count | modulo: x.zero | plus: x.count }}", (1, 14), "x.zero", "zero", "another number"),
        ("{{ x.count | plus: x.text }}", (1, 14), "x.text", "text", "a number"),
        ("{{ x.text | plus: x.count }}", (1, 13), "x.text", "text", "a number"),
        ("{% for i in x.list limit: x.text %}{% endfor %}", (1, 27), "x.list", "text", "a whole number"),
        ("{{ x.text | upcase: 1 }}", (1, 13), "x.text", None, None),
        ("{{ x.text | truncate: 'x' }}", (1, 13), "x.text", None, None),
    ],
)
def test_an_error_keeps_the_variable_the_kinds_and_the_place_but_no_value(
    source: str, place: tuple[int, int], variable: str, found: str | None, expected: str | None
) -> None:
    with pytest.raises(RenderError) as caught:
        compile_template(source, html=False).render(VALUES)
    error = caught.value
    assert ((error.line, error.column), error.variable) == (place, variable)
    assert (error.found, error.expected) == (found, expected)
    assert error.detail.startswith(f"line {place[0]}, column {place[1]}: `{variable}`")
    assert not any(word in error.detail for word in ("ab", "'7'", "0.3", "str", "dict"))


@pytest.mark.parametrize("source", ["{{ x.count | divided_by: 0 }}", "{{ x.count | plus: 'a' | minus: x.count }}"])
def test_a_literal_that_does_not_fit_is_blamed_on_no_variable(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        compile_template(source, html=False).render(VALUES)
    assert caught.value.variable is None and caught.value.detail.startswith("line 1, column 14: the filter `")


def test_a_list_filter_tells_nothing_of_its_items() -> None:
    with pytest.raises(RenderError) as caught:
        compile_template("{{ x.text | uniq: 'secret' }}", html=False).render(VALUES)
    assert "ab" not in caught.value.detail and "secret" not in caught.value.detail


def test_an_unknown_filter_comes_with_its_place_and_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"line 2, column 6: unknown filter `upcse`, did you mean `upcase`\?"):
        compile_template("a | upcse\n{{ 1|upcse }}", html=False)

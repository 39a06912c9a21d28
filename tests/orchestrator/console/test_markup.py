"""Plain texts as HTML: names as code, places where a long name may break, and nothing that a text brings along."""

from services.orchestrator.console.markup import breakable, mark_code


def test_names_in_backticks_become_code_and_everything_else_is_escaped() -> None:
    assert mark_code("no customer `a<b`: & so on") == "no customer <code>a&lt;b</code>: &amp; so on"
    assert mark_code("one ` alone <b>") == "one ` alone &lt;b&gt;"


def test_event_types_break_after_dots_and_slashes_only() -> None:
    assert breakable("shop.order_item/delivered-now") == "shop.<wbr>order_item/<wbr>delivered-now"
    assert breakable("no_consent", "_") == "no_<wbr>consent"
    assert breakable("<b>.'x'") == "&lt;b&gt;.<wbr>&#39;x&#39;"

"""Social: short posts that say nothing of a customer, counted under the stage community."""

import pytest

from schemas.channel_registry import CHANNEL_REGISTRY, STAGES
from schemas.finding import Severity
from services.orchestrator.delivery.channels.social.channel import CHANNEL as SOCIAL
from services.template import RenderError

CONTEXT = {
    "customer": {"id": "c-1", "traits": {"name": "Ada"}, "locale": "en"},
    "links": {"unsubscribe": "https://example.org/u/1"},
    "event": {"type": "shop.opened", "data": {"city": "Köln"}},
}


@pytest.mark.parametrize(
    "text",
    [
        "Hello {{ customer.traits.name }}",
        "{{ customer.id }}",
        "{% if customer.traits.vip %}a{% else %}b{% endif %}",
        "{% assign who = customer.traits.name %}{{ who }}",
        "{% for each in customer.traits.orders %}{{ each }}{% endfor %}x",
        "{{ customer['traits']['name'] | default: 'x' }}",
        "{{ links.unsubscribe }}",
    ],
)
@pytest.mark.parametrize("field", ["text", "title", "button", "link", "image"])
def test_content_that_reads_the_customer_is_refused_when_saved_and_when_rendered(field: str, text: str) -> None:
    content = {"text": "x", "button": "x", "link": "https://x.example", "image": "https://x.example", field: text}
    found = SOCIAL.validate_content(content, False)
    assert {(each.pointer, each.code, each.severity) for each in found} == {
        (f"/{field}", "customer_data", Severity.ERROR)
    }
    with pytest.raises(RenderError) as caught:
        SOCIAL.render(SOCIAL.compile_templates(content), CONTEXT, False)
    assert (caught.value.code, caught.value.field) == ("customer_data", field)
    assert "Ada" not in caught.value.detail


def test_what_the_event_says_can_be_posted() -> None:
    content = {"text": "We open in {{ event.data.city }}", "button": "Map", "link": "https://shop.example/map"}
    assert {each.code for each in SOCIAL.validate_content(content, True)} <= {"may_fail"}
    assert SOCIAL.render(SOCIAL.compile_templates(content), CONTEXT, True)["text"] == "We open in Köln"


def test_a_post_is_short() -> None:
    for size, fits in ((500, True), (501, False)):
        found = SOCIAL.validate_content({"text": "x" * size}, False)
        assert [each.code for each in found] == ([] if fits else ["too_long"])


def test_posts_are_counted_under_the_stage_community_and_in_general_caps() -> None:
    declared = CHANNEL_REGISTRY.declarations
    assert {id for id, each in declared.items() if each.stage == "community"} == {"social"}
    assert {each.stage for each in declared.values()} <= set(STAGES)
    assert not declared["social"].needs_address
    assert declared["social"].counts_in_general_caps, "reported contacts of this name always did"

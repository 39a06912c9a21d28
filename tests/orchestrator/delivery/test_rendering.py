"""What templates are told when a message is rendered."""

from collections.abc import Mapping

import pytest

from schemas.facts import Address
from schemas.vocabulary import Outcome
from services.orchestrator.delivery.channels.content import CompiledContent, compile_content
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.policy.decide import PlannedMessage
from tests.support import policy_builders

NOW = policy_builders.at("02 10:00")


class Books:
    """Hands out one content, and counts for whom links were made."""

    def __init__(self, content: CompiledContent) -> None:
        self._content = content
        self.linked: list[str] = []

    def get_content(self, campaign: str, version: int) -> CompiledContent:
        return self._content

    def links(
        self,
        customer: str,
        topic: str | None,
        cls: str,
        now: int,
        consent_request: str | None = None,
        address_request: str | None = None,
    ) -> dict[str, str]:
        self.linked.append(customer)
        return {"unsubscribe": f"https://example.org/u/{customer}", "preferences": "https://example.org/p"}


def render(body: str, channel: str = "push") -> tuple[Mapping[str, str], list[str]]:
    campaign = policy_builders.campaign(channels=[channel])
    content = {channel: {"en": {"title": "Hello", "body": "plain"}, "de": {"title": "Hallo", "body": body}}}
    books = Books(compile_content(campaign.document.model_copy(update={"content": content})))
    planned = PlannedMessage("m-1", channel, policy_builders.touch(campaign), Outcome.SEND, None, None, NOW, None)
    facts = policy_builders.facts(chosen=policy_builders.preference(locale="de"))
    try:
        rendered = Renderer(books, books.links).render_message(planned, facts, NOW)
    finally:
        assert books.linked in ([], ["c-1"])
    return rendered.content, books.linked


def test_all_that_templates_may_name_has_a_value() -> None:
    names = "customer.id customer.locale event.type event.time campaign.key campaign.name now links.preferences"
    fields, linked = render(" ".join(f"{{{{ {name} }}}}" for name in names.split()), "in_app")
    time = "2026-03-02T10:00:00Z"
    assert fields["body"] == f"c-1 de shop.offer {time} offer offer {time} https://example.org/p"
    assert linked == ["c-1"]


@pytest.mark.parametrize(
    "reading", ["{{ links.unsubscribe }}", "{{ links['unsubscribe'] }}", "{% if links %}x{% endif %}"]
)
def test_links_are_made_where_a_template_reads_them(reading: str) -> None:
    assert render(reading, "in_app")[1] == ["c-1"]


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ("{{ event['time'] }}", "2026-03-02T10:00:00Z"),
        ("{% assign part = 'time' %}{{ event[part] }}", "2026-03-02T10:00:00Z"),
        ("{% assign all = event %}{{ all.time }}", "2026-03-02T10:00:00Z"),
        ("{{ now | slice: 0, 4 }}", "2026"),
    ],
)
def test_times_are_told_however_a_template_reads_them(reading: str, said: str) -> None:
    assert render(reading, "in_app")[0]["body"] == said


def test_links_are_not_made_for_nobody() -> None:
    assert render("{{ customer.id }}", "in_app") == ({"title": "Hallo", "body": "c-1"}, [])


def test_a_message_goes_to_the_canonical_form_of_the_first_usable_address() -> None:
    broken = Address("push", "a b", True, problem="not a device token")
    good = Address("push", " token ", True, "token")
    campaign = policy_builders.campaign(channels=["push"])
    content = {"push": {"en": {"title": "Hello", "body": "x"}}}
    books = Books(compile_content(campaign.document.model_copy(update={"content": content})))
    planned = PlannedMessage("m-1", "push", policy_builders.touch(campaign), Outcome.SEND, None, None, NOW, None)
    facts = policy_builders.facts(chosen=policy_builders.preference(addresses=(broken, good)))
    assert Renderer(books, books.links).render_message(planned, facts, NOW).to == "token"

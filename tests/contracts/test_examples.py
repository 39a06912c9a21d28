"""examples/: the shop that the demo shows is made of documents that the product takes."""

from pathlib import Path

import pytest

from schemas.addresses import canonical_address
from schemas.campaign import Campaign
from schemas.documents import load_document, validate_document
from schemas.policy import Policy
from services import simulation
from services.orchestrator.campaigns import document_checks
from services.orchestrator.delivery.channels.content import check_content
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID

EXAMPLES = Path(__file__).parents[2] / "examples"
CAMPAIGNS = sorted((EXAMPLES / "campaigns").iterdir())


def policy() -> Policy:
    return document_checks.validate_policy(load_document((EXAMPLES / "policy.yaml").read_bytes()))


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_a_campaign_is_taken_while_the_policy_is_active(path: Path) -> None:
    checked = document_checks.validate_campaign(path.stem, load_document(path.read_bytes()), policy(), check_content)
    assert checked.document.key == path.stem


def test_the_policy_holds_what_the_documents_speak_of() -> None:
    rules = {rule.id for rule in policy().entries()}
    assert {"no-ask-after-complaint", "marketing-a-day", "sms-a-week", "breathing-space", "night"} <= rules
    assert {situation.kind for situation in policy().situations} == {"complaint", "low_score"}


def test_all_classes_and_channels_have_a_campaign() -> None:
    campaigns = [validate_document(Campaign, load_document(path.read_bytes())) for path in CAMPAIGNS]
    assert {campaign.class_.value for campaign in campaigns} == {"transactional", "service", "marketing"}
    assert {channel.value for campaign in campaigns for channel in campaign.channels} == set(CHANNELS_BY_ID)


def test_customers_can_be_reached_where_they_say() -> None:
    customers = simulation.read_customers(EXAMPLES / "customers.jsonl")
    assert len(customers) == 20
    for customer in customers:
        for address in customer.addresses:
            assert canonical_address(address.channel, address.address, customer.country) == address.address


def test_suppressions_are_of_known_customers() -> None:
    known = {customer.customer for customer in simulation.read_customers(EXAMPLES / "customers.jsonl")}
    found = simulation.read_suppressions(EXAMPLES / "suppressions.jsonl")
    assert {getattr(entry, "customer", None) for entry in found} <= known | {None}

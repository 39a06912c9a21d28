"""Lint of double opt-in."""

from typing import Any

import pytest

import schemas.campaign
import schemas.policy
from schemas.documents import validate_document
from services.orchestrator.campaigns.lint import lint_campaign, unanswered_findings
from tests.support import document_builders

ASKS = {"trigger": {"event": "tactful.consent.requested"}}
TRANSACTIONAL = {"class": "transactional", "intent": "inform", "topic": "account"}
VERIFIES = {"trigger": {"event": "tactful.address.verification_requested"}}
CODE = {"email": {"en": {"subject": "Your code", "html": "<p>{{ links.verification_code }}</p>"}}}
LINK = {"email": {"en": {"subject": "Confirm", "html": '<a href="{{ links.confirm_consent }}">Yes</a>'}}}
OTHER = {"email": {"en": {"subject": "Hello", "html": '<a href="{{ links.unsubscribe }}">Stop</a>'}}}


def campaign(**changes: Any) -> schemas.campaign.Campaign:
    return validate_document(schemas.campaign.Campaign, document_builders.campaign(**changes))


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({**ASKS, **TRANSACTIONAL, "content": LINK}, []),
        ({**ASKS, **TRANSACTIONAL, "content": OTHER}, ["no_confirmation_link"]),
        ({**ASKS, "content": LINK}, ["confirmation_not_transactional"]),
        ({**TRANSACTIONAL, "content": LINK}, ["no_consent_request"]),
        ({**TRANSACTIONAL, "content": OTHER}, []),
        ({**VERIFIES, **TRANSACTIONAL, "content": CODE}, []),
        ({**VERIFIES, **TRANSACTIONAL, "content": LINK}, ["no_consent_request", "no_verification_link"]),
        ({**VERIFIES, "content": CODE}, ["confirmation_not_transactional"]),
        ({**TRANSACTIONAL, "content": CODE}, ["no_verification_request"]),
    ],
)
def test_a_campaign_that_cannot_ask_is_found(changes: dict[str, Any], codes: list[str]) -> None:
    assert [each.code for each in lint_campaign(campaign(**changes), None)] == codes


def test_a_topic_that_nobody_asks_about_is_found() -> None:
    topics = [{"key": "news", "name": "News", "double_opt_in": ["email", "sms"]}, {"key": "sales", "name": "Sales"}]
    policy = validate_document(schemas.policy.Policy, document_builders.policy(topics=topics))
    places = [each.pointer for each in unanswered_findings(policy, [campaign()])]
    assert places == ["/topics/0/double_opt_in/0", "/topics/0/double_opt_in/1"]
    (left,) = unanswered_findings(policy, [campaign(**ASKS, **TRANSACTIONAL, content=LINK)])
    assert (left.pointer, left.code) == ("/topics/0/double_opt_in/1", "nobody_asks_to_confirm")
    assert len(list(unanswered_findings(policy, [campaign(**ASKS, content=LINK)]))) == 2

"""Findings about campaigns under a policy."""

from pathlib import Path
from typing import Any

import pytest

import schemas.campaign
import schemas.policy
from schemas.campaign import read_stored_campaign
from schemas.documents import DocumentError, load_document, validate_document
from services.orchestrator.campaigns.lint import lint_campaign, with_confirmations, with_windows
from tests.support.orchestrator_app import campaign, policy_document

EXAMPLES = Path(__file__).parents[4] / "examples"
NIGHT = {"id": "night", "scope": {"channels": ["sms"]}, "from": "21:00", "to": "08:00"}
CAP: dict[str, Any] = {"id": "cap", "limit": 1, "window": {"rolling": "12h"}, "on_exceed": "defer"}


def found(document: dict[str, Any], **parts: Any) -> list[tuple[str, str]]:
    policy = validate_document(schemas.policy.Policy, policy_document(**parts))
    findings = lint_campaign(validate_document(schemas.campaign.Campaign, document), policy)
    return [(finding.pointer, finding.code) for finding in findings]


@pytest.mark.parametrize("path", sorted((EXAMPLES / "campaigns").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_examples_have_no_finding(path: Path) -> None:
    policy = validate_document(schemas.policy.Policy, load_document((EXAMPLES / "policy.yaml").read_bytes()))
    assert lint_campaign(validate_document(schemas.campaign.Campaign, load_document(path.read_bytes())), policy) == []


def test_without_a_policy_only_the_campaign_itself_is_looked_at() -> None:
    document = validate_document(schemas.campaign.Campaign, campaign(ttl="1s", holdout=100))
    assert [finding.code for finding in lint_campaign(document, None)] == ["everybody_held_out"]


FALLBACK = {"strategy": "fallback", "fallback_after": "30m"}
TWO: dict[str, Any] = {
    "channels": ["sms", "push"],
    "content": {"sms": {"en": {"text": "x"}}, "push": {"en": {"title": "x", "body": "x"}}},
}


def test_a_campaign_whose_next_channel_never_has_its_turn_is_named() -> None:
    assert found(campaign(**FALLBACK, **TWO, ttl="31m")) == []
    assert found(campaign(**FALLBACK, **TWO, ttl="30m")) == [("/fallback_after", "expires_before_fallback")]
    assert found(campaign(**FALLBACK)) == [("/channels", "nothing_to_fall_back_to")]


def test_a_version_that_was_saved_without_the_time_to_fall_back_is_named() -> None:
    document = read_stored_campaign(campaign(strategy="fallback", **TWO))
    assert [(each.pointer, each.code) for each in lint_campaign(document, None)] == [("/strategy", "no_fallback_after")]


def test_channels_on_which_nothing_is_ever_confirmed_are_named_where_the_campaign_falls_back() -> None:
    check = with_confirmations(lambda document: [], {"sms": "sandbox"})
    document = validate_document(schemas.campaign.Campaign, campaign(**FALLBACK, **TWO))
    assert [(each.pointer, each.code) for each in check(document)] == [("/channels/0", "confirmed_when_accepted")]
    assert check(validate_document(schemas.campaign.Campaign, campaign(**TWO))) == []


def test_free_text_is_named_where_the_window_may_be_that_of_another_adapter() -> None:
    template = {"template": "offer", "language": "en", "body_parameters": "[]"}
    content = {"whatsapp": {"en": {"text": "Hi"}, "de": template}}
    document = validate_document(schemas.campaign.Campaign, campaign(channels=["whatsapp"], content=content))

    def codes(shared: list[str]) -> list[tuple[str, str]]:
        return [(each.pointer, each.code) for each in with_windows(lambda document: [], shared)(document)]

    assert codes(["whatsapp"]) == [("/content/whatsapp/en", "window_of_another_adapter")]
    assert codes([]) == []


EXPIRY = {
    "a night of 11 hours": ({"quiet_hours": [NIGHT]}, "11h", "12h"),
    "two windows that touch": (
        {"quiet_hours": [NIGHT, {"id": "morning", "from": "08:00", "to": "10:00"}]},
        "13h",
        "14h",
    ),
    "a cap": ({"frequency_caps": [CAP]}, "12h", "13h"),
    "a gap": ({"min_gaps": [{"id": "gap", "gap": "2h"}]}, "2h", "3h"),
    "a situation": (
        {
            "contact_history": [
                {"id": "r", "never": {"after": {"situation": "complaint"}, "within": "9h"}, "on_match": "defer"}
            ]
        },
        "9h",
        "10h",
    ),
}


@pytest.mark.parametrize(("parts", "short", "enough"), EXPIRY.values(), ids=EXPIRY)
def test_an_expiry_shorter_than_a_usual_deferral(parts: dict[str, Any], short: str, enough: str) -> None:
    assert found(campaign(ttl=short), **parts) == [("/ttl", "expires_while_deferred")]
    assert found(campaign(ttl=enough), **parts) == []
    ids = [entry["id"] for entries in parts.values() for entry in entries]
    assert found(campaign(ttl=short), **parts, shadow=ids) == []


def test_what_drops_or_does_not_concern_it_lets_nothing_wait() -> None:
    assert found(campaign(ttl="1h"), frequency_caps=[{**CAP, "on_exceed": "drop"}]) == []
    assert found(campaign(ttl="1h"), quiet_hours=[{**NIGHT, "scope": {"channels": ["push"]}}]) == []


def test_a_channel_without_an_hour() -> None:
    day = {"id": "day", "scope": {"campaigns": ["referral-ask"]}, "from": "08:00", "to": "21:00"}
    assert found(campaign(), quiet_hours=[NIGHT, day]) == [("/channels/0", "no_hour_left")]
    assert found(campaign(key="other"), quiet_hours=[NIGHT, day]) == []


def test_a_campaign_that_its_own_event_stops() -> None:
    filed = {"trigger": {"event": "shop.complaint.filed"}}
    assert found(campaign(**filed)) == [("/trigger/event", "stopped_by_its_own_event")]
    assert found(campaign(**filed, intent="apologise")) == []
    assert found(campaign(**filed), shadow=["no-ask-after-complaint"]) == []


def test_marketing_by_what_it_wants() -> None:
    plain = campaign(intent="advertise", **{"class": "service"})
    assert found(plain) == [("/class", "marketing_without_consent")]
    assert found({**plain, "class": "marketing"}) == []
    assert found({**plain, "intent": "advise"}) == []


def test_a_stored_locale_that_is_no_language_tag_is_a_warning_and_says_who_gets_it() -> None:
    document = campaign()
    channel = document["channels"][0]
    document["content"][channel]["de-12"] = document["content"][channel][document["default_locale"]]
    with pytest.raises(DocumentError, match=f"/content/{channel}/de-12: not a language tag"):
        validate_document(schemas.campaign.Campaign, document)
    findings = lint_campaign(schemas.campaign.read_stored_campaign(document), None)
    assert [(each.pointer, each.code) for each in findings] == [(f"/content/{channel}/de-12", "not_a_locale")]
    assert "only customers whose locale is spelt the same get this content" in findings[0].detail

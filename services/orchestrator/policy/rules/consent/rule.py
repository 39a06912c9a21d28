"""Denies marketing without a recorded consent for the channel and topic.

Of the records that match, the newest decides; of two at the same instant, the stricter one. A campaign that uses
behavioural traits needs a consent whose basis is that the customer has said yes: what they did was not recorded so that
somebody who never agreed is advertised to by it.
"""

from functools import lru_cache

from schemas.consent_evidence import EXPRESS_CONSENT
from schemas.decision import Verdict
from schemas.permission import GRANTED, find_deciding_consent
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.consent.declaration import ID, NO_CONSENT
from services.orchestrator.policy.scope import MessageAttributes
from services.orchestrator.policy.verdicts import ALLOW, deny, instant_text


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A grant counts from its time until it expires; a refusal counts even if it is slightly ahead of our clock."""
    attributes = candidate.attributes
    newest = find_deciding_consent(
        facts.preference.consent, attributes.channel, attributes.topic, t, candidate.clock_tolerance
    )
    if newest is None:
        return (_deny(attributes),)
    if newest.status != GRANTED:
        return (_deny(attributes, status=newest.status, at=instant_text(newest.at)),)
    if newest.expires is not None and newest.expires <= t:
        return (_deny(attributes, status=GRANTED, expired_at=instant_text(newest.expires)),)
    if newest.basis != EXPRESS_CONSENT and candidate.campaign.may_read(facts.policy.behavioural_traits):
        basis = newest.basis or "none"
        return (
            _deny(attributes, status=GRANTED, at=instant_text(newest.at), basis=basis, needs_basis=EXPRESS_CONSENT),
        )
    return _allow(newest.at)


def _deny(attributes: MessageAttributes, **record: str | None) -> Verdict:
    return deny(ID, NO_CONSENT, until=None, **record, channel=attributes.channel, topic=attributes.topic)


@lru_cache(maxsize=8192)
def _allow(granted_at: Instant) -> tuple[Verdict, ...]:
    return (Verdict(ID, None, ALLOW, None, None, {"granted_at": instant_text(granted_at)}),)

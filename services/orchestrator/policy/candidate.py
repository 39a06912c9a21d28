"""A candidate: one campaign on one channel for one event, with everything that does not depend on the instant."""

import msgspec

from schemas.times import MINUTE, Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import ApplicablePolicy
from services.orchestrator.policy.counted_contacts import CandidateView, CountedContacts, count_contacts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign, condition_variables
from services.orchestrator.policy.scope import MessageAttributes

CLOCK_TOLERANCE = 5 * MINUTE
"""How far ahead a refusing entry may lie and still count at the gate, and when judging again what it stopped."""


class AudienceCheck:
    """Whether the customer is in the campaign's audience: evaluated at most once for all channels and instants."""

    __slots__ = ("_error", "_facts", "_matches", "_triggered")

    def __init__(self, triggered: TriggeredCampaign, facts: Facts) -> None:
        self._triggered = triggered
        self._facts = facts
        self._matches: bool | None = None
        self._error: Exception | None = None

    def matches(self) -> bool:
        """The condition's value. Raises what the condition raises."""
        condition = self._triggered.campaign.audience_condition
        if condition is None:
            return True
        if self._error is not None:
            raise self._error
        if self._matches is None:
            triggered = self._triggered
            try:
                self._matches = condition(
                    condition_variables(triggered.event, triggered.data, self._facts.customer_values)
                )
            except Exception as error:
                self._error = error
                raise
        return self._matches


class Candidate(msgspec.Struct, frozen=True):
    """What rules judge, together with the facts. `ahead` is above 0 at the gate only."""

    triggered: TriggeredCampaign
    campaign: CompiledCampaign
    channel: str
    attributes: MessageAttributes
    applicable: ApplicablePolicy
    contacts: CountedContacts
    audience: AudienceCheck
    clock_tolerance: int

    @property
    def customer(self) -> str:
        """Whom it is for."""
        return self.triggered.event.subject

    @property
    def message_id(self) -> str:
        """Its message."""
        return self.triggered.message_id(self.channel)

    @property
    def first_planned(self) -> Instant | None:
        """When it was first planned."""
        return self.triggered.first_planned_on(self.channel)

    def fails_open(self, facts: Facts) -> bool:
        """Whether it may pass where a rule could not be judged."""
        return self.campaign.cls == Class.TRANSACTIONAL and self.campaign.key in facts.policy.fail_open_campaigns


def build_candidate(
    triggered: TriggeredCampaign,
    channel: str,
    facts: Facts,
    ledger: Ledger,
    audience: AudienceCheck,
    *,
    claimed_at: Instant | None = None,
    clock_tolerance: int = 0,
) -> Candidate:
    """The touch on one channel, and the contacts that count against it. With `marked_at`: at the gate."""
    campaign, policy = triggered.campaign, facts.policy
    attributes = campaign.attributes_by_channel.get(channel) or MessageAttributes(
        campaign.key, campaign.topic, channel, campaign.cls, campaign.intent
    )
    applicable = policy.applicable_to(attributes)
    counted = count_contacts(
        ledger, CandidateView(triggered, attributes, claimed_at is not None), policy, applicable, claimed_at
    )
    return Candidate(triggered, campaign, channel, attributes, applicable, counted, audience, clock_tolerance)

"""A candidate: one triggered campaign on one channel, with everything that does not depend on the evaluated instant."""

import msgspec

from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import ApplicablePolicy
from services.orchestrator.policy.counted_contacts import CandidateView, CountedContacts, count_contacts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import IN_AUDIENCE, TriggeredCampaign, find_audience
from services.orchestrator.policy.scope import MessageAttributes


class AudienceCheck:
    """The campaign's audience condition for one customer, evaluated at most once for all channels and instants."""

    __slots__ = ("_facts", "_result", "_triggered")

    def __init__(self, triggered: TriggeredCampaign, facts: Facts) -> None:
        self._triggered = triggered
        self._facts = facts
        self._result = IN_AUDIENCE if triggered.campaign.audience_condition is None else triggered.audience

    def matches(self) -> bool:
        """Returns the condition's value. Raises what the condition raises."""
        if self._result is None:
            triggered = self._triggered
            self._result = find_audience(
                triggered.campaign, triggered.event, triggered.data, self._facts.customer_values
            )
        if self._result.error is not None:
            raise self._result.error
        return self._result.matches

    @property
    def missing_variable(self) -> str | None:
        """The variable without a value that made the condition false, if that is why it is."""
        return None if self._result is None else self._result.missing_variable


class Candidate(msgspec.Struct, frozen=True):
    """What rules evaluate, together with the facts. `clock_tolerance` (microseconds) is 0 except in a recheck."""

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
        """The customer id."""
        return self.triggered.event.subject

    @property
    def message_id(self) -> str:
        """The id of the candidate's message."""
        return self.triggered.message_id(self.channel)

    @property
    def first_planned(self) -> Instant | None:
        """When the message was first planned; None for a new one."""
        return self.triggered.first_planned_on(self.channel)

    def fails_open(self, facts: Facts) -> bool:
        """Whether it may pass although a rule could not be evaluated: transactional, and listed in the policy."""
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
    """Builds the candidate and counts the contacts against it. `claimed_at` is set in a recheck."""
    campaign, policy = triggered.campaign, facts.policy
    attributes = campaign.attributes_by_channel.get(channel) or MessageAttributes(
        campaign.key, campaign.topic, channel, campaign.cls, campaign.intent
    )
    applicable = policy.applicable_to(attributes)
    counted = count_contacts(
        ledger, CandidateView(triggered, attributes, claimed_at is not None), policy, applicable, claimed_at
    )
    return Candidate(triggered, campaign, channel, attributes, applicable, counted, audience, clock_tolerance)

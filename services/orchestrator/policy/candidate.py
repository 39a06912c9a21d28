"""A candidate: one campaign on one channel for one event, with everything that does not depend on the instant."""

import msgspec

from schemas.times import MINUTE, Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.compiled_campaign import Campaign
from services.orchestrator.policy.compiled_policy import Concern
from services.orchestrator.policy.counted_contacts import Contacts, Viewpoint, contacts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Touch, variables
from services.orchestrator.policy.scope import Kind

AHEAD = 5 * MINUTE
"""How far ahead a refusing entry may lie and still count at the gate, and when judging again what it stopped."""


class Audience:
    """Whether the customer is in the campaign's audience: evaluated at most once for all channels and instants."""

    __slots__ = ("_error", "_facts", "_holds", "_touch")

    def __init__(self, touch: Touch, facts: Facts) -> None:
        self._touch = touch
        self._facts = facts
        self._holds: bool | None = None
        self._error: Exception | None = None

    def holds(self) -> bool:
        """The condition's value. Raises what the condition raises."""
        condition = self._touch.campaign.audience
        if condition is None:
            return True
        if self._error is not None:
            raise self._error
        if self._holds is None:
            touch = self._touch
            try:
                self._holds = condition(variables(touch.event, touch.data, self._facts.customer))
            except Exception as error:
                self._error = error
                raise
        return self._holds


class Candidate(msgspec.Struct, frozen=True):
    """What rules judge, together with the facts. `ahead` is above 0 at the gate only."""

    touch: Touch
    campaign: Campaign
    channel: str
    kind: Kind
    concern: Concern
    contacts: Contacts
    audience: Audience
    ahead: int

    @property
    def customer(self) -> str:
        """Whom it is for."""
        return self.touch.event.subject

    @property
    def message_id(self) -> str:
        """Its message."""
        return self.touch.message_id(self.channel)

    @property
    def since(self) -> Instant | None:
        """When it was first planned."""
        return self.touch.first_planned(self.channel)

    def fails_open(self, facts: Facts) -> bool:
        """Whether it may pass where a rule could not be judged."""
        return self.campaign.cls == Class.TRANSACTIONAL and self.campaign.key in facts.policy.fail_open


def candidate(
    touch: Touch,
    channel: str,
    facts: Facts,
    ledger: Ledger,
    audience: Audience,
    *,
    marked_at: Instant | None = None,
    ahead: int = 0,
) -> Candidate:
    """The touch on one channel, and the contacts that count against it. With `marked_at`: at the gate."""
    campaign, policy = touch.campaign, facts.policy
    kind = campaign.kinds.get(channel) or Kind(campaign.key, campaign.topic, channel, campaign.cls, campaign.intent)
    concern = policy.concern(kind)
    counted = contacts(ledger, Viewpoint(touch, kind, marked_at is not None), policy, concern, marked_at)
    return Candidate(touch, campaign, channel, kind, concern, counted, audience, ahead)

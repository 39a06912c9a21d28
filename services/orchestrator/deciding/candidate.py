"""A candidate: one campaign on one channel for one event, with everything that does not depend on the instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.times import MINUTE, Instant
from schemas.vocabulary import Class
from services.orchestrator.deciding.campaign import Campaign
from services.orchestrator.deciding.contacts import Contacts, Viewpoint, contacts
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.ledger import Ledger, raw_id
from services.orchestrator.deciding.match import Touch, variables
from services.orchestrator.deciding.policy import Concern
from services.orchestrator.deciding.rank import rank
from services.orchestrator.deciding.scope import Kind

AHEAD = 5 * MINUTE
"""How far ahead a refusing entry may lie and still count at the gate, and when judging again what it stopped."""


class Audience:
    """Whether the customer is in the campaign's audience: evaluated at most once for all channels and instants."""

    __slots__ = ("_customer", "_error", "_holds", "_touch")

    def __init__(self, touch: Touch, customer: Mapping[str, Any]) -> None:
        self._touch = touch
        self._customer = customer
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
                self._holds = condition(variables(touch.event, touch.data, self._customer))
            except Exception as error:
                self._error = error
                raise
        return self._holds


@dataclass(slots=True)
class Candidate:
    """What rules judge, together with the facts. `ahead` is above 0 at the gate only."""

    touch: Touch
    campaign: Campaign
    channel: str
    kind: Kind
    message_id: str
    since: Instant | None
    expires_at: Instant
    fail_open: bool
    concern: Concern
    contacts: Contacts
    audience: Audience
    ahead: int

    @property
    def customer(self) -> str:
        """Whom it is for."""
        return self.touch.event.subject


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
    message_id, since = touch.message_id(channel), touch.first_planned(channel)
    concern = policy.concern(kind)
    own = rank(campaign.cls, campaign.priority, since, campaign.key, raw_id(message_id))
    of = Viewpoint(kind, own, touch.event_hash, campaign.together, marked_at is not None)
    return Candidate(
        touch=touch,
        campaign=campaign,
        channel=channel,
        kind=kind,
        message_id=message_id,
        since=since,
        expires_at=touch.expires_at,
        fail_open=campaign.cls == Class.TRANSACTIONAL and campaign.key in policy.fail_open,
        concern=concern,
        contacts=contacts(ledger, of, policy, concern, marked_at),
        audience=audience,
        ahead=ahead,
    )

"""Sends a message that an agent has chosen for one customer.

A campaign is for agents when its trigger is the event `tactful.agent.message`. The event names the campaign, and goes
through log, rules, ledger and recheck as any other: an agent can choose a message, and cannot get it past a rule. So
the answer is the decision. Each agent has a number of messages a day, taken before the event is published; what no rule
lets out is given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from schemas.event import Event
from schemas.own_events import AGENT_MESSAGE
from schemas.vocabulary import Outcome
from services.kit.bus.fence import wait_until_applied
from services.kit.errors import FenceTimeout, NotFound, WrongState
from services.kit.http.principals import Principal
from services.kit.runtime.clock import Clock
from services.orchestrator.agent_messages import store
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.event_intake import EventLog, publish_new
from services.orchestrator.decisions.read_store import StoredDecision
from services.orchestrator.decisions.store import event_key
from services.orchestrator.policy.compiled_campaign import CompiledCampaign

DECISION_WAIT: Final = 10.0
"""Seconds that the answer waits for the decision."""
SOURCE: Final = "/tactful/agents/"


class Budget(NamedTuple):
    """How many messages an agent has sent today, of how many."""

    used: int
    most: int

    @property
    def left(self) -> int:
        """How many more they may send today."""
        return max(0, self.most - self.used)


class RequestedMessage(NamedTuple):
    """The event that asked for a message. `decisions`: None while they are not there yet."""

    source: str
    event_id: str
    decisions: Sequence[StoredDecision] | None


@dataclass(frozen=True, slots=True)
class AgentMessages:
    """The campaigns for agents, and their sending. `per_day`: messages of one agent a day."""

    log: EventLog
    clock: Clock
    per_day: int

    async def list_campaigns(self) -> list[CompiledCampaign]:
        """The active campaigns that are for agents."""
        catalogue = await self.log.catalogue()
        return [each for each in catalogue.by_event.get(AGENT_MESSAGE, ()) if each.active]

    async def get_budget(self, sender: Principal) -> Budget:
        """What an agent has left today."""
        day = await self._today()
        async with self.log.database.read() as tx:
            return Budget(await store.count_used(tx, _agent_of(sender), day), self.per_day)

    def source_of(self, sender: Principal) -> str:
        """The source of the events that this agent has sent."""
        return f"{SOURCE}{quote(_agent_of(sender), safe='')[:200]}"

    async def send(self, customer: str, campaign: str, sender: Principal, once: str) -> RequestedMessage:
        """Ask for the message, and wait for the decision. `once`: the same text asks for the same message again.

        Raises NotFound for a campaign that is not for agents, WrongState when the budget is used up or the customer is
        erased, and BusGone: the event may then be decided on all the same, and counts.
        """
        if campaign not in {each.key for each in await self.list_campaigns()}:
            raise NotFound("no active campaign with this key is for agents")
        agent, day = _agent_of(sender), await self._today()
        async with self.log.database.write() as tx:
            if not await store.take_one(tx, agent, day, self.per_day):
                raise WrongState(
                    f"you have sent {self.per_day} messages today, which is all that an agent may send a day"
                )
        now = self.clock.now()
        event = Event(
            id=f"agent-{once}",
            source=self.source_of(sender),
            type=AGENT_MESSAGE,
            subject=customer,
            time=now,
            data=msgspec.Raw(msgspec.json.encode({"campaign": campaign})),
        )
        published = await publish_new(self.log, [event], sender, now)
        if not published.new_keys:
            await self._give_back(agent, day)
        if published.erased:
            raise WrongState("this customer is erased: nothing can be sent to them")
        try:
            await wait_until_applied(self.log.database, published.end_positions, DECISION_WAIT, self.log.wake_signal)
        except FenceTimeout:
            return RequestedMessage(event.source, event.id, None)
        async with self.log.database.read() as tx:
            decisions = await read_store.list_event_decisions(tx, *event_key(event))
        in_vain = all(each.decision.outcome in (Outcome.SUPPRESS, Outcome.FAIL) for each in decisions)
        if in_vain and published.new_keys:
            await self._give_back(agent, day)
        return RequestedMessage(event.source, event.id, decisions)

    async def _give_back(self, agent: str, day: int) -> None:
        async with self.log.database.write() as tx:
            await store.give_back(tx, agent, day)

    async def _today(self) -> int:
        return (await self.log.catalogue()).policy.zone.local_day(self.clock.now())


def _agent_of(sender: Principal) -> str:
    """Whose budget it is: a person's, whichever of their keys they have signed in with."""
    return sender.person or sender.name

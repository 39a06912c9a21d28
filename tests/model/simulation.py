"""Virtual time: the model takes events and gives the lines that `tactful simulate` must give."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.model.conditions import holds
from tests.model.contacts import Rank, rank
from tests.model.instants import duration, instant, written
from tests.model.people import Contact, Document, Person, Situation, take_in
from tests.model.planning import Plan, Speaking, chosen, plan
from tests.model.rules import Candidate

Line = dict[str, Any]


@dataclass
class Waiting:
    """What is judged together and not yet over: a choice, or with `all` one channel."""

    person: Person
    event: Document
    campaign: Document
    channels: list[str]
    since: int | None = None
    contact: Contact | None = None
    channel: str = ""
    due: int = 0
    situations: tuple[Situation, ...] = field(default=())
    handed_over: dict[str, int] = field(default_factory=dict)
    """With `fallback`: when each channel was handed over that has been."""
    waits: list[str] = field(default_factory=list)
    """With `fallback`: the channels that may still be sent."""

    @property
    def fallback_after(self) -> int | None:
        return duration(self.campaign["fallback_after"]) if self.campaign.get("strategy") == "fallback" else None

    def candidate(self, channel: str) -> Candidate:
        return Candidate(self.person, self.event, self.campaign, channel, self.since)

    def rank(self) -> Rank:
        campaign, own = self.campaign, min(self.candidate(each).message_id for each in self.waits or [self.channel])
        return rank(campaign["class"], campaign.get("priority", 50), self.since, campaign["key"], own)


class Simulation:
    """One run. `people` by customer."""

    def __init__(
        self, campaigns: list[Document], speaking: Speaking, people: list[Person], confirm_after: int | None = 0
    ) -> None:
        self.confirm_after = confirm_after
        self.campaigns = sorted(campaigns, key=lambda each: str(each["key"]))
        self.speaking = speaking
        self.people: dict[str, Person] = defaultdict(lambda: Person(""))
        self.people.update({each.customer: each for each in people})
        self.now = 0
        self.waiting: list[Waiting] = []
        self.lines: list[tuple[int, str, Line]] = []

    def run(self, events: list[Document], until: int) -> list[Line]:
        """The lines in the order of the output."""
        for event in events:
            at = max(self.now, instant(event["time"]))
            if at > until:
                break
            self.judge_due(before=at)
            self.now = at
            self.take(event)
        self.judge_due(before=until + 1)
        return [line for _, _, line in sorted(self.lines, key=lambda each: each[:2])]

    def judge_due(self, before: int) -> None:
        """Judges what is due at earlier instants, in order of time, then rank."""
        while True:
            due = [each for each in self.waiting if each.due < before]
            if not due:
                return
            first = min(due, key=lambda each: (each.due, each.rank()))
            self.waiting.remove(first)
            self.now = max(self.now, first.due)
            self.judge(first)

    def take(self, event: Document) -> None:
        """The event changes the facts, then triggers campaigns."""
        customer = event["subject"]
        person = self.people[customer]
        person.customer = customer
        if (event["source"], event["id"]) in person.seen:
            return
        open_before = [each for each in person.situations if each.closed is None]
        if not take_in(person, event, self.speaking.policy, self.now):
            return
        person.seen.add((event["source"], event["id"]))
        closed = [each for each in open_before if each.closed is not None]
        for each in self.waiting:
            if any(own is other for own in each.situations for other in closed):
                each.due = self.now
        touched = [touch for campaign in self.campaigns for touch in self.touches(person, event, campaign)]
        for touch in sorted(touched, key=Waiting.rank):
            self.judge(touch)

    def touches(self, person: Person, event: Document, campaign: Document) -> list[Waiting]:
        """What the event begins: one choice, or with `all` each channel."""
        if campaign["trigger"]["event"] != event["type"]:
            return []
        wished = person.values.get("channel_order") or []
        own = [each for each in wished if each in campaign["channels"]]
        channels = [*own, *(each for each in campaign["channels"] if each not in own)]
        when = campaign["trigger"].get("when")
        met = True if when is None else holds(when, person.variables(event))
        if met is None:
            for channel in channels:
                self.write(Candidate(person, event, campaign, channel, None), Plan("fail", "policy_unavailable"))
        if not met:
            return []
        if campaign.get("strategy", "first") == "all":
            return [Waiting(person, event, campaign, [each], channel=each) for each in channels]
        return [Waiting(person, event, campaign, channels, channel=channels[0])]

    def judge(self, touch: Waiting) -> None:
        """Judges all its channels, chooses, and keeps what must wait."""
        if touch.contact is not None:
            touch.person.contacts.remove(touch.contact)
            touch.contact = None
        candidates = {each: touch.candidate(each) for each in self.order(touch) if each not in touch.handed_over}
        plans = {channel: plan(each, self.speaking, self.now) for channel, each in candidates.items()}
        if touch.fallback_after is not None:
            self.fall_back(touch, candidates, plans, touch.fallback_after)
            return
        choice = chosen(plans)
        for channel, found in plans.items():
            other = channel != choice and found.kind not in ("deny", "fail")
            self.write(candidates[channel], Plan("deny", "other_channel") if other else found)
        if choice is not None:
            self.settle(touch, candidates[choice], plans[choice])

    def confirmed_at(self, touch: Waiting) -> list[int]:
        """When the messages that were handed over are confirmed."""
        after = self.confirm_after
        return [] if after is None else [each + after for each in touch.handed_over.values()]

    def fall_back(
        self, touch: Waiting, candidates: dict[str, Candidate], plans: dict[str, Plan], fallback_after: int
    ) -> None:
        """One channel after the other, until one is confirmed."""
        touch.situations = ()
        able = [each for each in plans if plans[each].kind in ("send", "defer", "park")]
        ends = [each + fallback_after for each in touch.handed_over.values()]
        choice, wait = None, Plan("defer", "fallback_wait")
        if any(each <= self.now for each in self.confirmed_at(touch)):
            wait = Plan("deny", "other_channel")
        elif any(each > self.now for each in ends):
            wait.until = max(ends)
        elif (choice := chosen(plans)) is not None:
            wait.until = self.now + fallback_after if plans[choice].kind == "send" else plans[choice].until
        for channel, candidate in candidates.items():
            if wait.until is not None:
                wait.until = min(wait.until, candidate.expires_at)
            self.write(candidate, wait if channel in able and channel != choice else plans[channel])
        touch.waits = [
            each for each in able if wait.kind == "defer" and not (each == choice and plans[each].kind == "send")
        ]
        touch.due = next((candidate.expires_at for candidate in candidates.values()), 0)
        if choice is not None:
            self.settle(touch, candidates[choice], plans[choice])
            if plans[choice].kind == "send":
                touch.handed_over[choice] = self.now
        if touch in self.waiting:
            self.waiting.remove(touch)
        if touch.waits:
            if wait.until is not None:
                touch.due = min(touch.due, wait.until) if choice is None or plans[choice].kind == "send" else touch.due
            touch.due = min([touch.due, *(each for each in self.confirmed_at(touch) if each >= self.now)])
            self.waiting.append(touch)

    def order(self, touch: Waiting) -> list[str]:
        """The customer's order, as it is now, comes first."""
        wished = touch.person.values.get("channel_order") or []
        own = [each for each in wished if each in touch.channels]
        return [*own, *(each for each in touch.campaign["channels"] if each in touch.channels and each not in own)]

    def settle(self, touch: Waiting, candidate: Candidate, found: Plan) -> None:
        """Books the contact and, unless it was sent, comes back to it."""
        touch.channel, touch.situations = candidate.channel, found.situations
        if found.kind != "park":
            touch.since = self.now if touch.since is None else touch.since
            campaign, at = candidate.campaign, self.now if found.until is None else found.until
            contact = Contact(
                candidate.key, campaign["key"], candidate.channel, candidate.cls, campaign.get("intent"),
                campaign.get("topic"), at, found.kind == "send", candidate.message_id,
                campaign.get("priority", 50), touch.since,
            )  # fmt: skip
            touch.person.contacts.append(contact)
            if contact.made:
                return
            touch.contact = contact
        lapses = [each.lapses_at for each in found.situations if each.lapses_at is not None]
        touch.due = min([candidate.expires_at, *lapses]) if found.until is None else found.until
        self.waiting.append(touch)

    def write(self, candidate: Candidate, found: Plan) -> None:
        """One line."""
        line = {
            "time": written(self.now),
            "message_id": candidate.message_id,
            "customer": candidate.person.customer,
            "campaign": candidate.campaign["key"],
            "channel": candidate.channel,
            "outcome": {"deny": "suppress", "park": "defer"}.get(found.kind, found.kind),
            "reason": found.reason,
            "rule_id": found.rule_id,
            "until": written(found.until),
            "lost_to": found.lost_to,
        }
        self.lines.append((self.now, candidate.message_id, line))

"""What judging costs, part by part: `python -m tests.bench.judging`.

Processor time of this process in microseconds, the least of several rounds. Every call gets an event, facts and a
ledger that nobody has looked at before, as it is for an event that has just come in. ROUNDS=1 takes one short look.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import os
import pstats
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import schemas.campaign
import schemas.policy
from schemas.documents import validate_document
from schemas.event import decode_record, parse_data
from schemas.facts import Preference, Suppressions
from schemas.ids import compute_message_id, hash_event
from schemas.times import HOUR, Instant
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.campaigns.conditions import compile_campaign_condition
from services.orchestrator.decisions.evaluation import EvaluationRequest, RenderMessage, evaluate_in_steps
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.delivery.channels.content import CompiledContent, compile_content
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.policy.candidate import AudienceCheck, build_candidate
from services.orchestrator.policy.compiled_campaign import compile_campaign
from services.orchestrator.policy.compiled_policy import compile_policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.evaluate import evaluate_rules
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign, customer_variables, match_campaigns
from services.orchestrator.policy.recheck import recheck_message
from services.orchestrator.policy.scope import MessageAttributes
from tests.bench import load

NOW: Instant = 1_790_000_000_000_000
MANY = 64
CALLS = 200
TOP = 10
CHANNEL = "push"

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A function to measure, and fresh arguments for so many calls of it."""

    name: str
    run: Callable[..., object]
    arguments: Callable[[int], Iterable[Arguments]]


def microseconds(part: Part, rounds: int, calls: int) -> float:
    """Processor time of one call: the least over the rounds."""
    return min(_round(part, list(part.arguments(calls))) for _ in range(rounds))


def _round(part: Part, calls: Sequence[Arguments]) -> float:
    run = part.run
    gc.collect()
    gc.disable()
    try:
        began = time.process_time_ns()
        for arguments in calls:
            run(*arguments)
        return (time.process_time_ns() - began) / 1000 / len(calls)
    finally:
        gc.enable()


def catalogue() -> Catalogue:
    """The campaigns and the ten rules of the standard load."""
    rules = compile_policy(validate_document(schemas.policy.Policy, load.policy(NOW)), 1)
    documents = [
        validate_document(schemas.campaign.Campaign, load.campaign(number)) for number in range(load.CAMPAIGNS)
    ]
    campaigns = [
        compile_campaign(document, 1, True, compile_campaign_condition, traits=frozenset()) for document in documents
    ]
    return Catalogue({each.key: each for each in campaigns}, rules, frozenset({CHANNEL}))


def many_contacts() -> Ledger:
    """64 made contacts of eight campaigns on two channels, over the last month."""
    ledger = Ledger.empty()
    for place in range(MANY):
        key, channel = f"past-{place % 8}", ("push", "email")[place % 2]
        kind, at = MessageAttributes(key, "news", channel, "marketing", "inform"), NOW - (place + 1) * 11 * HOUR
        identity = compute_message_id("everyone", load.SOURCE, f"past-{place}", key, channel)
        ledger = ledger.put_contact(
            Contact(identity, hash_event(load.SOURCE, f"past-{place}"), kind, 50, at, at, "made")
        )
    return ledger


class Ground:
    """The standard load in memory: every call gets its own event and facts, and its own copy of a ledger."""

    def __init__(self) -> None:
        self.catalogue = catalogue()
        self.few, self.many = load.past(NOW).pack(), many_contacts().pack()
        self._next = 0

    def matching(self, count: int) -> Iterable[Arguments]:
        """Arguments of `touches`."""
        for event, data, preference, known in self.arriving(count):
            yield event, data, customer_variables(preference), known

    def arriving(self, count: int) -> Iterable[tuple[Any, Any, Preference, Catalogue]]:
        """Events, and what preference says of their customers."""
        for _ in range(count):
            self._next += 1
            key, value = load.event(self._next, 1_000_000, NOW)
            event = decode_record((), value)
            preference = load.preference(self._next, NOW).preference
            yield event, parse_data(event), Preference(key.decode(), *_fields(preference)[1:]), self.catalogue

    def facts(self, preference: Preference) -> Facts:
        """What the doors said."""
        return Facts(preference, Suppressions(preference.customer), (), self.catalogue.policy, frozenset({CHANNEL}))

    def deciding(self, count: int, packed: bytes) -> Iterable[tuple[list[TriggeredCampaign], Facts, Ledger, Instant]]:
        """Arguments of `decide`."""
        for event, data, preference, known in self.arriving(count):
            facts = self.facts(preference)
            yield (
                match_campaigns(event, data, facts.customer_values, known),
                self.facts(preference),
                Ledger.unpack(packed),
                NOW,
            )

    def at_gate(self, count: int, packed: bytes) -> Iterable[Arguments]:
        """Arguments of `at_gate`: the message has been marked a second ago."""
        for found, facts, ledger, _ in self.deciding(count, packed):
            ledger = Ledger.unpack(
                decide(found, facts, ledger, NOW).ledger.claim_contact(found[0].message_id(CHANNEL), NOW).pack()
            )
            [touch] = match_campaigns(found[0].event, found[0].data, facts.customer_values, self.catalogue)
            yield touch, CHANNEL, self.facts(facts.preference), ledger, NOW, NOW + 1_000_000

    def viewing(self, count: int) -> Iterable[Arguments]:
        """Arguments of `candidate`."""
        for [touch], facts, ledger, _ in self.deciding(count, self.many):
            touch.message_id(CHANNEL), touch.event_hash
            yield touch, CHANNEL, facts, ledger, AudienceCheck(touch, facts)

    def judging(self, count: int) -> Iterable[Arguments]:
        """Arguments of `judge`."""
        for arguments in self.viewing(count):
            yield build_candidate(*arguments), arguments[2], NOW

    def planned(self, count: int, packed: bytes) -> Iterable[tuple[Ledger, Contact]]:
        """A ledger, and a contact that is to be planned on it."""
        for [touch], _, ledger, _ in self.deciding(count, packed):
            kind = touch.campaign.attributes_by_channel[CHANNEL]
            yield ledger, Contact(touch.message_id(CHANNEL), touch.event_hash, kind, 50, NOW, NOW)

    def parts(self) -> list[Part]:
        """All that is measured."""
        few, many = self.few, self.many
        found = [
            Part("touches()", match_campaigns, self.matching),
            Part("Facts", self.facts, lambda count: ((each[2],) for each in self.arriving(count))),
            Part("decide(), 8 contacts", decide, lambda count: self.deciding(count, few)),
            Part("decide(), 64 contacts", decide, lambda count: self.deciding(count, many)),
            Part("at_gate(), 8 contacts", recheck_message, lambda count: self.at_gate(count, few)),
            Part("at_gate(), 64 contacts", recheck_message, lambda count: self.at_gate(count, many)),
            Part("candidate with 64 contacts: view", build_candidate, self.viewing),
            Part("candidate with 64 contacts: rules", evaluate_rules, self.judging),
        ]
        for packed, number in ((few, load.PAST_CONTACTS), (many, MANY)):
            found += self._ledger(packed, f", {number} contacts")
        return found

    def _ledger(self, packed: bytes, of: str) -> list[Part]:
        def changed(count: int) -> Iterable[Arguments]:
            for ledger, contact in self.planned(count, packed):
                yield Ledger.unpack(ledger.put_contact(contact).pack()), contact.message_id, "made"

        return [
            Part("Ledger.unpack" + of, Ledger.unpack, lambda count: [(packed,)] * count),
            Part(
                "Ledger.pack" + of,
                Ledger.pack,
                lambda count: ((each[0].put_contact(each[1]),) for each in self.planned(count, packed)),
            ),
            Part("Ledger.plan" + of, Ledger.put_contact, lambda count: self.planned(count, packed)),
            Part(
                "Ledger.mark" + of,
                Ledger.claim_contact,
                lambda count: ((one, name, NOW + 1) for one, name, _ in changed(count)),
            ),
            Part("Ledger.settle" + of, Ledger.set_contact_state, changed),
        ]


def _fields(preference: Preference) -> tuple[Any, ...]:
    return tuple(getattr(preference, name) for name in preference.__struct_fields__)


def profile(part: Part, calls: int) -> list[str]:
    """Where a part spends its time: the functions with most of their own, in microseconds a call."""
    arguments = list(part.arguments(calls))
    profiler = cProfile.Profile()
    profiler.enable()
    for each in arguments:
        part.run(*each)
    profiler.disable()
    own = {
        f"{name} ({file.rpartition('/')[2]}:{line})": found[2]
        for (file, line, name), found in pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    }
    most = sorted(own.items(), key=lambda item: -item[1])[:TOP]
    return [f"{seconds / calls * 1e6:8.2f}  {name}" for name, seconds in most]


class Contents:
    """The compiled contents of the standard load, as the renderer asks for them."""

    def __init__(self) -> None:
        documents = (
            validate_document(schemas.campaign.Campaign, load.campaign(number)) for number in range(load.CAMPAIGNS)
        )
        self._by_key = {each.key: compile_content(each) for each in documents}

    def get_content(self, key: str, version: int) -> CompiledContent:
        """The content of a campaign."""
        return self._by_key[key]


async def evaluate_customers(ground: Ground, render: RenderMessage, customers: int, by_turns: bool) -> float:
    """Processor time of deciding and rendering for one customer: of so many, whole or by turns (`LoopShare`)."""
    steps = [
        evaluate_in_steps(
            facts.preference.customer,
            facts,
            [EvaluationRequest(triggered_campaigns=tuple(found))],
            VersionedLedger(1, ledger),
            now,
            0,
            render,
        )
        for found, facts, ledger, now in ground.deciding(customers, ground.few)
    ]
    share = LoopShare()
    gc.collect()
    began = time.process_time_ns()
    kept = await share.run_together(steps) if by_turns else [await share.run(each) for each in steps]
    spent = time.process_time_ns() - began
    assert all(each.ready_messages for each in kept)
    return spent / 1000 / customers


def _no_links(
    customer: str,
    topic: str | None,
    cls: str,
    now: int,
    consent_request: str | None = None,
    address_request: str | None = None,
) -> dict[str, str]:
    return {}


def print_evaluations(ground: Ground, rounds: int, customers: int) -> None:
    """Print what a batch of customers takes, one after the other and by turns."""
    render = Renderer(Contents(), _no_links).render_message
    for by_turns, words in ((False, "one after the other"), (True, "by turns")):
        least = min(asyncio.run(evaluate_customers(ground, render, customers, by_turns)) for _ in range(rounds))
        print(f"{least:8.2f}  deciding and rendering for {customers} customers, {words}", flush=True)


def main(rounds: int, calls: int) -> None:
    """Print the table, and the profile of `decide`."""
    parts = Ground().parts()
    for part in parts:
        print(f"{microseconds(part, rounds, calls):8.2f}  {part.name}", flush=True)
    print_evaluations(Ground(), max(1, rounds // 5), calls * 10)
    decided = next(part for part in parts if part.run is decide)
    print(f"\nThe profile of {decided.name} (everything is slower under it):")
    print("\n".join(profile(decided, rounds * calls)))


if __name__ == "__main__":
    main(int(os.environ.get("ROUNDS", "25")), CALLS)

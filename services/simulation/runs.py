"""One run over files, or two and how they differ."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from schemas.decision import to_document
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import Simulation
from services.simulation.compare import Comparison
from services.simulation.file_facts import FileWorld
from services.simulation.input_files import (
    Told,
    each_customer,
    read_campaigns,
    read_events,
    read_policy,
    read_suppressions,
)


@dataclass(frozen=True, slots=True)
class Input:
    """The files of a run. `until`: the last instant; None: the run ends when nothing is due any more."""

    campaigns: Path
    policy: Path
    preferences: Path
    suppressions: Path
    events: Path
    until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run saw and decided. `outcomes` and `reasons` count decisions."""

    events: int
    duplicates: int
    refused: int
    decisions: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]


def run(
    campaigns: Path,
    policy: Path,
    preferences: Path,
    suppressions: Path,
    events: Path,
    until: Instant | None,
    out: Path,
    trace: str = "decisive",
) -> Summary:
    """As `decide_all`, each file by its name."""
    return decide_all(Input(campaigns, policy, preferences, suppressions, events, until), out, trace)


def decide_all(given: Input, out: Path, trace: str = "decisive", told: Told | None = None) -> Summary:
    """Simulates the events and writes one decision a line to `out`; equal input gives equal bytes. Raises BadInput."""
    rules = read_policy(given.policy)
    catalogue = Catalogue(read_campaigns(given.campaigns), rules, frozenset(CHANNELS))
    world = FileWorld(rules, each_customer(given.preferences), read_suppressions(given.suppressions))
    simulation = Simulation(catalogue, world, given.until)
    outcomes, reasons = Counter[str](), Counter[str]()
    encoder = msgspec.json.Encoder()
    with out.open("wb") as file:
        for decision in simulation.run(read_events(given.events, told)):
            outcomes[decision.outcome] += 1
            reasons[decision.reason] += 1
            file.write(encoder.encode(to_document(decision, trace)) + b"\n")
    return Summary(
        simulation.events, simulation.duplicates, simulation.refused, outcomes.total(), dict(outcomes), dict(reasons)
    )


def compare(
    given: Input,
    out: Path,
    *,
    policy: Path | None = None,
    campaigns: Path | None = None,
    trace: str = "decisive",
    told: Told | None = None,
) -> tuple[Summary, dict[str, Any]]:
    """Runs `given`, and again with this other policy or these other campaigns, and tells how the two differ.

    Writes the second run's decisions and the difference beside `out`, as `.against` and `.diff.json`. Raises BadInput.
    """
    other = replace(given, policy=policy or given.policy, campaigns=campaigns or given.campaigns)
    beside = out.with_name(f"{out.stem}.against{out.suffix}")
    summary = decide_all(given, out, trace, told)
    decide_all(other, beside, trace, told)
    difference = {
        "here": {"campaigns": given.campaigns.name, "policy": given.policy.name},
        "against": {"campaigns": other.campaigns.name, "policy": other.policy.name},
        **Comparison(out, beside, read_policy(given.policy).zone).document(),
    }
    text = msgspec.json.format(msgspec.json.encode(difference), indent=2)
    out.with_name(f"{out.stem}.diff.json").write_bytes(text + b"\n")
    return summary, difference

"""Simulation runs over files: one run, or two and how they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from schemas.decision import to_document
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import RefusedParts, Simulator
from services.simulation.compare import Comparison
from services.simulation.file_facts import FileFactsSource
from services.simulation.input_files import (
    OnBytesRead,
    iter_customers,
    read_campaigns,
    read_events,
    read_policy,
    read_suppressions,
)


@dataclass(frozen=True, slots=True)
class SimulationFiles:
    """The files of a run. `until`: the last instant; None runs until nothing is due any more. `region`: the
    organisation's country, in which numbers of customers without a country are read.
    """

    campaigns: Path
    policy: Path
    preferences: Path
    suppressions: Path
    events: Path
    until: Instant | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What a run read and decided. `counts` are decisions by campaign, outcome and reason; the rest are sums of it."""

    events: int
    duplicates: int
    refused: int
    decisions: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    counts: Mapping[tuple[str, str, str], int]
    unusable_suppressions: int = 0
    problems: Sequence[RefusedParts] = ()
    """What could not be applied of the first of the refused events."""


def simulate_files(
    campaigns: Path,
    policy: Path,
    preferences: Path,
    suppressions: Path,
    events: Path,
    until: Instant | None,
    out: Path,
    trace: str = "decisive",
    region: str | None = None,
) -> SimulationSummary:
    """As `simulate`, returning the decisions of files given by name."""
    return simulate(SimulationFiles(campaigns, policy, preferences, suppressions, events, until, region), out, trace)


def simulate(
    files: SimulationFiles, out: Path, trace: str = "decisive", on_bytes_read: OnBytesRead | None = None
) -> SimulationSummary:
    """Simulates the events and writes one decision per line to `out`; equal input gives equal bytes. Raises
    BadInput.
    """
    compiled_policy = read_policy(files.policy)
    catalogue = Catalogue(read_campaigns(files.campaigns), compiled_policy, frozenset(CHANNELS))
    facts_source = FileFactsSource(
        compiled_policy, iter_customers(files.preferences), read_suppressions(files.suppressions), files.region
    )
    simulator = Simulator(catalogue, facts_source, files.until)
    counts = Counter[tuple[str, str, str]]()
    encoder = msgspec.json.Encoder()
    with out.open("wb") as file:
        for decision in simulator.replay_events(read_events(files.events, on_bytes_read)):
            counts[decision.campaign, decision.outcome, decision.reason] += 1
            file.write(encoder.encode(to_document(decision, trace)) + b"\n")
    outcomes, reasons = Counter[str](), Counter[str]()
    for (_, outcome, reason), count in counts.items():
        outcomes[outcome] += count
        reasons[reason] += count
    return SimulationSummary(
        simulator.events,
        simulator.duplicates,
        simulator.refused,
        counts.total(),
        dict(outcomes),
        dict(reasons),
        dict(counts),
        facts_source.unusable_suppressions,
        tuple(simulator.problems),
    )


def simulate_and_compare(
    files: SimulationFiles,
    out: Path,
    *,
    policy: Path | None = None,
    campaigns: Path | None = None,
    trace: str = "decisive",
    on_bytes_read: OnBytesRead | None = None,
) -> tuple[SimulationSummary, dict[str, Any]]:
    """Runs `files`, then again with another policy or other campaigns, and compares.

    Writes the second run's decisions and the difference beside `out`, as `.against` and `.diff.json`. Raises BadInput.
    """
    other = replace(files, policy=policy or files.policy, campaigns=campaigns or files.campaigns)
    against_out = out.with_name(f"{out.stem}.against{out.suffix}")
    summary = simulate(files, out, trace, on_bytes_read)
    simulate(other, against_out, trace, on_bytes_read)
    difference = {
        "here": {"campaigns": files.campaigns.name, "policy": files.policy.name},
        "against": {"campaigns": other.campaigns.name, "policy": other.policy.name},
        **Comparison(out, against_out, read_policy(files.policy).zone).to_document(),
    }
    text = msgspec.json.format(msgspec.json.encode(difference), indent=2)
    out.with_name(f"{out.stem}.diff.json").write_bytes(text + b"\n")
    return summary, difference

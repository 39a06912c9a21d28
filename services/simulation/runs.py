"""Simulation runs over files: one run, or two and how they differ.

A run may be spread over processes, each with a share of the customers. What is decided about one customer does not
depend on the others, only the time does, which every process follows. So the bytes are the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from schemas.decision import Decision, to_document
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import MAX_NAMED_EVENTS, RefusedParts, Simulator
from services.simulation.compare import Comparison
from services.simulation.customer_share import ALL_CUSTOMERS, CustomerShare
from services.simulation.file_facts import FileFactsSource
from services.simulation.input_files import (
    BadInput,
    OnBytesRead,
    iter_customers,
    read_campaigns,
    read_events,
    read_policy,
    read_suppressions,
)
from services.simulation.processes import merge_lines, run_in_processes, sorted_line


@dataclass(frozen=True, slots=True)
class SimulationFiles:
    """The files of a run. `until`: the last instant; None runs until nothing is due any more. `region`: the
    organisation's country, in which numbers of customers without a country are read. `confirm_after`: how long after
    its handover a message is confirmed to have arrived, in microseconds; None if none ever is.
    """

    campaigns: Path
    policy: Path
    preferences: Path
    suppressions: Path
    events: Path
    until: Instant | None = None
    region: str | None = None
    confirm_after: int | None = 0


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
    confirm_after: int | None = 0,
) -> SimulationSummary:
    """As `simulate`, returning the decisions of files given by name."""
    files = SimulationFiles(campaigns, policy, preferences, suppressions, events, until, region, confirm_after)
    return simulate(files, out, trace)


class FileSimulation:
    """One run over the events of a share of the customers. Raises BadInput."""

    def __init__(
        self, files: SimulationFiles, share: CustomerShare = ALL_CUSTOMERS, on_bytes_read: OnBytesRead | None = None
    ) -> None:
        policy = read_policy(files.policy)
        catalogue = Catalogue(read_campaigns(files.campaigns), policy, frozenset(CHANNELS))
        customers, suppressions = iter_customers(files.preferences, share), read_suppressions(files.suppressions)
        self._facts = facts = FileFactsSource(policy, customers, suppressions, files.region)
        self._simulator = Simulator(catalogue, facts, files.until, confirm_after=files.confirm_after)
        self._events = read_events(
            files.events, lambda kind: facts.handles(kind) or catalogue.is_triggered_by(kind), on_bytes_read, share
        )
        self._counts = Counter[tuple[str, str, str]]()

    def decisions(self) -> Iterator[Decision]:
        """The decisions in order; to be read once."""
        for decision in self._simulator.replay_arrivals(self._events):
            self._counts[decision.campaign, decision.outcome, decision.reason] += 1
            yield decision

    def summary(self) -> SimulationSummary:
        """What was read and decided, once all decisions have been read."""
        outcomes, reasons = Counter[str](), Counter[str]()
        for (_, outcome, reason), count in self._counts.items():
            outcomes[outcome] += count
            reasons[reason] += count
        simulator = self._simulator
        return SimulationSummary(
            simulator.events,
            simulator.duplicates,
            simulator.refused,
            self._counts.total(),
            dict(outcomes),
            dict(reasons),
            dict(self._counts),
            self._facts.unusable_suppressions,
            tuple(simulator.problems),
        )


def simulate(
    files: SimulationFiles,
    out: Path,
    trace: str = "decisive",
    on_bytes_read: OnBytesRead | None = None,
    processes: int = 1,
) -> SimulationSummary:
    """Simulates the events and writes one decision per line to `out`; equal input gives equal bytes. Raises
    BadInput.
    """
    if processes > 1:
        try:
            return _simulate_in_processes(files, out, trace, on_bytes_read, processes)
        except BadInput:
            pass  # another process may have met what is wrong earlier in the file: one alone finds the first
    run = FileSimulation(files, on_bytes_read=on_bytes_read)
    with out.open("wb") as file:
        file.writelines(_line(decision, trace) for decision in run.decisions())
    return run.summary()


_encode = msgspec.json.Encoder().encode


def _line(decision: Decision, trace: str) -> bytes:
    return _encode(to_document(decision, trace)) + b"\n"


def _simulate_in_processes(
    files: SimulationFiles, out: Path, trace: str, on_bytes_read: OnBytesRead | None, processes: int
) -> SimulationSummary:
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        parts = [Path(folder) / str(index) for index in range(processes)]
        calls = [(files, CustomerShare(index, processes), part, trace) for index, part in enumerate(parts)]
        summaries = run_in_processes(_simulate_share, calls, on_bytes_read)
        with out.open("wb") as file:
            file.writelines(merge_lines(parts))
    return sum_up(summaries)


def _simulate_share(
    files: SimulationFiles, share: CustomerShare, out: Path, trace: str, on_bytes_read: OnBytesRead
) -> SimulationSummary:
    run = FileSimulation(files, share, on_bytes_read)
    with out.open("wb") as file:
        file.writelines(
            sorted_line(decision.time, decision.message_id, _line(decision, trace)) for decision in run.decisions()
        )
    return run.summary()


def sum_up(summaries: Sequence[SimulationSummary]) -> SimulationSummary:
    """The summary of a run whose customers were shared out."""
    counts, outcomes, reasons = Counter[tuple[str, str, str]](), Counter[str](), Counter[str]()
    for each in summaries:
        counts.update(each.counts)
        outcomes.update(each.outcomes)
        reasons.update(each.reasons)
    problems = sorted((each for summary in summaries for each in summary.problems), key=lambda each: each.number)
    return SimulationSummary(
        sum(each.events for each in summaries),
        sum(each.duplicates for each in summaries),
        sum(each.refused for each in summaries),
        counts.total(),
        dict(outcomes),
        dict(reasons),
        dict(counts),
        summaries[0].unusable_suppressions,  # each process has read them all
        tuple(problems[:MAX_NAMED_EVENTS]),
    )


def simulate_and_compare(
    files: SimulationFiles,
    out: Path,
    *,
    policy: Path | None = None,
    campaigns: Path | None = None,
    trace: str = "decisive",
    on_bytes_read: OnBytesRead | None = None,
    processes: int = 1,
) -> tuple[SimulationSummary, dict[str, Any]]:
    """Runs `files`, then again with another policy or other campaigns, and compares.

    Writes the second run's decisions and the difference beside `out`, as `.against` and `.diff.json`. Raises BadInput.
    """
    other = replace(files, policy=policy or files.policy, campaigns=campaigns or files.campaigns)
    against_out = out.with_name(f"{out.stem}.against{out.suffix}")
    summary = simulate(files, out, trace, on_bytes_read, processes)
    simulate(other, against_out, trace, on_bytes_read, processes)
    difference = {
        "here": {"campaigns": files.campaigns.name, "policy": files.policy.name},
        "against": {"campaigns": other.campaigns.name, "policy": other.policy.name},
        **Comparison(out, against_out, read_policy(files.policy).zone).to_document(),
    }
    text = msgspec.json.format(msgspec.json.encode(difference), indent=2)
    out.with_name(f"{out.stem}.diff.json").write_bytes(text + b"\n")
    return summary, difference

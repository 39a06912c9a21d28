"""One comparison over recorded traffic: reads two policies and two sets of campaigns from a folder, writes the
difference.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.decision import to_document
from schemas.recorded import CustomerHistory, HoldPeriod
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import FactsChange, SimulatedEvent, Simulator
from services.simulation.compare import Comparison
from services.simulation.difference_page import render_difference
from services.simulation.input_files import read_campaigns, read_policy
from services.simulation.recorded_traffic import (
    ReceivedEvents,
    RecordedFactsSource,
    merge_arrivals,
    read_ledgers,
    read_structs,
)

SIDES = ("here", "against")
PROGRESS_EVERY = 200
OnProgress = Callable[[float], None]
"""A callback that receives the completed share, 0 to 1."""


class ComparisonJob(msgspec.Struct, frozen=True):
    """The file `job.json`. `names`: names of the policy and campaigns of each side. `events`: the number of events."""

    names: dict[str, dict[str, str]]
    events: int
    until: Instant | None = None


def compare_recorded_traffic(folder: Path, on_progress: OnProgress) -> None:
    """Writes `result.json` and `picture.html`. Raises BadInput."""
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=ComparisonJob)
    runs = {side: _simulate_side(folder, side, job, on_progress) for side in SIDES}
    zone = read_policy(folder / "here" / "policy.json").zone
    difference = {
        **job.names,
        **Comparison(_decisions_path(folder, "here"), _decisions_path(folder, "against"), zone).to_document(),
    }
    result = {"runs": runs, "difference": difference}
    unreadable = max(run["unreadable"] for run in runs.values())
    (folder / "picture.html").write_text(render_difference(difference, unreadable), "utf-8")
    (folder / "result.json").write_bytes(msgspec.json.encode(result))
    on_progress(1.0)


def _simulate_side(folder: Path, side: str, job: ComparisonJob, on_progress: OnProgress) -> Mapping[str, Any]:
    policy = read_policy(folder / side / "policy.json")
    catalogue = Catalogue(read_campaigns(folder / side / "campaigns", stored=True), policy, frozenset(CHANNELS))
    holds = msgspec.json.decode((folder / "holds.json").read_bytes(), type=list[HoldPeriod])
    facts_source = RecordedFactsSource(policy, list(read_structs(folder / "customers.jsonl", CustomerHistory)), holds)
    simulator = Simulator(catalogue, facts_source, job.until, read_ledgers(folder))
    outcomes, reasons = Counter[str](), Counter[str]()
    encoder = msgspec.json.Encoder()
    events = ReceivedEvents(folder)
    arrivals = merge_arrivals(facts_source, events)
    with _decisions_path(folder, side).open("wb") as file:
        for decision in simulator.replay_arrivals(_report_arrivals(arrivals, side, job, on_progress)):
            outcomes[decision.outcome] += 1
            reasons[decision.reason] += 1
            file.write(encoder.encode(to_document(decision, "decisive")) + b"\n")
    return {
        "events": simulator.events,
        "unreadable": events.unreadable,
        "decisions": outcomes.total(),
        "outcomes": dict(sorted(outcomes.items())),
        "reasons": dict(sorted(reasons.items())),
    }


def _report_arrivals(
    arrivals: Iterable[SimulatedEvent | FactsChange], side: str, job: ComparisonJob, on_progress: OnProgress
) -> Iterator[SimulatedEvent | FactsChange]:
    """Yields the arrivals, reporting the overall progress now and then."""
    done = 0
    for arrival in arrivals:
        yield arrival
        done += isinstance(arrival, SimulatedEvent)
        if done % PROGRESS_EVERY == 0:
            on_progress((SIDES.index(side) + done / max(1, job.events)) / len(SIDES) * 0.95)


def _decisions_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.jsonl"

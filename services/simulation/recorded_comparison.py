"""One comparison over recorded traffic: two policies and two campaign sets from a folder, one difference into it."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.decision import to_document
from schemas.recorded import Recorded, RecordedHold
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import Arrived, Simulation
from services.simulation.compare import Comparison
from services.simulation.difference_page import draw
from services.simulation.input_files import read_campaigns, read_policy
from services.simulation.recorded_traffic import RecordedWorld, arrivals, ledgers, lines

SIDES = ("here", "against")
TOLD_EVERY = 200
Told = Callable[[float], None]
"""Is told the share that is done, 0 to 1."""


class Job(msgspec.Struct, frozen=True):
    """`job.json`. `names`: what the policy and the campaigns of each side are called. `events`: how many there are."""

    names: dict[str, dict[str, str]]
    events: int
    until: Instant | None = None


def compare(folder: Path, told: Told) -> None:
    """Writes `result.json` and `picture.html`. Raises BadInput."""
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    runs = {side: _decide(folder, side, job, told) for side in SIDES}
    zone = read_policy(folder / "here" / "policy.json").zone
    difference = {**job.names, **Comparison(_decisions(folder, "here"), _decisions(folder, "against"), zone).document()}
    result = {"runs": runs, "difference": difference}
    (folder / "picture.html").write_text(draw(difference), "utf-8")
    (folder / "result.json").write_bytes(msgspec.json.encode(result))
    told(1.0)


def _decide(folder: Path, side: str, job: Job, told: Told) -> Mapping[str, Any]:
    policy = read_policy(folder / side / "policy.json")
    catalogue = Catalogue(read_campaigns(folder / side / "campaigns"), policy, frozenset(CHANNELS))
    holds = msgspec.json.decode((folder / "holds.json").read_bytes(), type=list[RecordedHold])
    world = RecordedWorld(policy, list(lines(folder / "customers.jsonl", Recorded)), holds)
    simulation = Simulation(catalogue, world, job.until, ledgers(folder))
    outcomes, reasons = Counter[str](), Counter[str]()
    encoder = msgspec.json.Encoder()
    with _decisions(folder, side).open("wb") as file:
        for decision in simulation.replay(_counted(folder, world, side, job, told)):
            outcomes[decision.outcome] += 1
            reasons[decision.reason] += 1
            file.write(encoder.encode(to_document(decision, "decisive")) + b"\n")
    return {
        "events": simulation.events,
        "decisions": outcomes.total(),
        "outcomes": dict(sorted(outcomes.items())),
        "reasons": dict(sorted(reasons.items())),
    }


def _counted(folder: Path, world: RecordedWorld, side: str, job: Job, told: Told) -> Any:
    """The arrivals; says from time to time how far the whole has come."""
    done = 0
    for arrival in arrivals(folder, world):
        yield arrival
        done += isinstance(arrival, Arrived)
        if done % TOLD_EVERY == 0:
            told((SIDES.index(side) + done / max(1, job.events)) / len(SIDES) * 0.95)


def _decisions(folder: Path, side: str) -> Path:
    return folder / f"{side}.jsonl"

"""Random worlds through the product and through the model: the decisions must be equal.

`MODEL_EXAMPLES=5000` runs that many worlds, others each time.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from schemas.times import parse_duration, parse_instant
from services import simulation
from tests.model.reading import FIELDS, decisions_of
from tests.model.simulation import Line
from tests.model.worlds import World, worlds

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))


def decided(folder: Path, until: str, confirm_after: str) -> list[Line]:
    """The lines of the product."""
    out = folder / "actual.jsonl"
    simulation.simulate_files(
        campaigns=folder / "campaigns",
        policy=folder / "policy.json",
        preferences=folder / "preferences.jsonl",
        suppressions=folder / "suppressions.jsonl",
        events=folder / "events.jsonl",
        until=parse_instant(until),
        out=out,
        trace="none",
        confirm_after={"never": None, "0s": 0}[confirm_after]
        if confirm_after in ("never", "0s")
        else parse_duration(confirm_after),
    )
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return [{name: line[name] for name in FIELDS} for line in lines]


@settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(worlds())
def test_the_product_decides_as_the_model_does(world: World) -> None:
    with tempfile.TemporaryDirectory(prefix="tactful-model-") as name:
        folder = Path(name)
        world.write(folder)
        assert decided(folder, world.until, world.confirm_after) == decisions_of(folder)

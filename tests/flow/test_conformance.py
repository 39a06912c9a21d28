"""Every case of tests/conformance, through the same door as `tactful simulate`."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.times import parse_instant
from services import simulation

CASES = sorted(path for path in (Path(__file__).parents[1] / "conformance").iterdir() if path.is_dir())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_confirmation(case: Path) -> int | None:
    """When a handover is confirmed; at once, where the case does not say it."""
    path = case / "confirm-after.txt"
    text = path.read_text("utf-8").strip() if path.exists() else "0s"
    return {"0s": 0, "never": None}[text]


def simulate(case: Path, out: Path, trace: str = "none") -> simulation.SimulationSummary:
    return simulation.simulate_files(
        campaigns=case / "campaigns",
        policy=case / "policy.yaml",
        preferences=case / "preferences.jsonl",
        suppressions=case / "suppressions.jsonl",
        events=case / "events.jsonl",
        until=parse_instant((case / "until.txt").read_text("utf-8").strip()),
        confirm_after=read_confirmation(case),
        out=out,
        trace=trace,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_gives_the_expected_decisions(case: Path, tmp_path: Path) -> None:
    summary = simulate(case, tmp_path / "actual.jsonl")
    expected, actual = lines(case / "expected.jsonl"), lines(tmp_path / "actual.jsonl")
    fields = sorted({field for line in expected for field in line})
    assert [{field: line[field] for field in fields} for line in actual] == expected
    assert summary.decisions == len(expected)


def test_equal_input_gives_equal_bytes_with_every_verdict(tmp_path: Path) -> None:
    case = CASES[23]
    simulate(case, tmp_path / "one.jsonl", "full")
    simulate(case, tmp_path / "two.jsonl", "full")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert all(len(line["verdicts"]) >= 16 for line in lines(tmp_path / "one.jsonl"))


def test_all_cases_are_here() -> None:
    assert len(CASES) == 37

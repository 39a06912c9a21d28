"""Files in, decisions out: what `tactful simulate` says about files that it cannot use."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services import simulation
from services.simulation import BadInput

pytestmark = pytest.mark.wired

CASE = Path(__file__).parents[1] / "conformance" / "26-holds"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    shutil.copytree(CASE, tmp_path / "case")
    return tmp_path / "case"


def run(case: Path, trace: str = "decisive") -> simulation.SimulationSummary:
    return simulation.simulate_files(
        case / "campaigns",
        case / "policy.yaml",
        case / "preferences.jsonl",
        case / "suppressions.jsonl",
        case / "events.jsonl",
        None,
        case / "out.jsonl",
        trace,
    )


def append(name: str, text: str) -> Callable[[Path], None]:
    def change(case: Path) -> None:
        path = case / name
        path.write_text((path.read_text("utf-8") if path.exists() else "") + text, "utf-8")

    return change


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(case: Path) -> None:
        text = (case / name).read_text("utf-8")
        assert old in text
        (case / name).write_text(text.replace(old, new), "utf-8")

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda case: (case / name).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (append("policy.yaml", "priorty: 1\n"), "policy.yaml: /priorty: unknown field `priorty`"),
        (remove("policy.yaml"), "policy.yaml: No such file"),
        (remove("events.jsonl"), "events.jsonl: No such file"),
        (append("campaigns/offer.yaml", "audience: 'event.data.total >='\n"), "offer.yaml: "),
        (
            replaced("campaigns/offer.yaml", "strategy: first", "strategy: fallback"),
            "offer.yaml: /fallback_after: the strategy `fallback` needs it",
        ),
        (
            append("campaigns/second.yaml", (CASE / "campaigns/offer.yaml").read_text("utf-8")),
            "`offer` is also in another file",
        ),
        (append("preferences.jsonl", "{}\n"), "preferences.jsonl:5: /customer: the field `customer` is required"),
        (append("preferences.jsonl", '{"customer": "c-1"}\n'), "preferences.jsonl:5: the customer `c-1` appears twice"),
        (append("suppressions.jsonl", "nonsense\n"), "suppressions.jsonl:4: /: not JSON"),
        (append("suppressions.jsonl", '{"key": "x", "mode": "stop"}\n'), "suppressions.jsonl:4: "),
        (append("events.jsonl", '\n{"specversion": "1.0"}\n'), "events.jsonl:10: /id: `id` is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(case: Path, change: Any, words: str) -> None:
    change(case)
    with pytest.raises(BadInput) as caught:
        run(case)
    assert words in str(caught.value)


def test_a_missing_folder_of_campaigns_is_named(case: Path) -> None:
    shutil.rmtree(case / "campaigns")
    with pytest.raises(BadInput, match="campaigns: No such file"):
        run(case)


def test_the_summary_counts_what_was_decided(case: Path) -> None:
    summary = run(case)
    found = [json.loads(line) for line in (case / "out.jsonl").read_text("utf-8").splitlines()]
    assert summary.decisions == len(found) == 12
    assert summary.events == 8
    assert summary.outcomes == {"defer": 4, "send": 4, "suppress": 4}
    assert sum(summary.reasons.values()) == 12


def test_a_decisive_trace_keeps_what_did_not_allow(case: Path) -> None:
    run(case)
    first = json.loads((case / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert [(verdict["rule"], verdict["id"]) for verdict in first["verdicts"]] == [("hold", "outage")]
    run(case, "none")
    assert "verdicts" not in json.loads((case / "out.jsonl").read_text("utf-8").splitlines()[0])


def test_an_event_that_is_refused_does_nothing_and_is_counted(case: Path) -> None:
    report = {
        "specversion": "1.0",
        "id": "e-x",
        "source": "/crm",
        "type": "tactful.contact.reported",
        "subject": "c-1",
        "time": "2026-03-02T17:00:00Z",
        "data": {"channel": "email", "class": "marketing", "at": "2026-05-02T17:00:00Z"},
    }
    append("events.jsonl", json.dumps(report) + "\n")(case)
    assert run(case).refused == 1

"""A simulation that is spread over processes decides the same, in the same order, as one process alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from schemas.times import DAY
from services import simulation
from services.orchestrator.policy.virtual_time_simulation import SimulatedEvent, TimePassed
from services.simulation import BadInput, SimulationFiles, SimulationSummary, simulate
from services.simulation.customer_share import ALL_CUSTOMERS, CustomerShare
from services.simulation.generated_year import TrafficSize, write_traffic
from services.simulation.input_files import read_events
from services.simulation.processes import EVENTS_WORTH_PROCESSES

pytestmark = pytest.mark.wired

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = TrafficSize(customers=60, events=4_000, days=30)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimulationFiles:
    folder = tmp_path_factory.mktemp("traffic")
    write_traffic(folder, SIZE)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    for place in range(100, 4_000, 7):  # what is refused in part, of customers of all processes
        wrong = {"limit": 1, "per": "fortnight"} if place % 2 else {"zone": "Mars/Base"}
        document = msgspec.json.decode(lines[place])
        document |= {"type": "tactful.preference.changed", "data": {"frequency": wrong, "opt_outs": [{"topic": "n"}]}}
        lines[place] = msgspec.json.encode(document) + b"\n"
    (folder / "events.jsonl").write_bytes(b"".join(lines))
    return SimulationFiles(
        EXAMPLES / "campaigns",
        EXAMPLES / "policy.yaml",
        folder / "customers.jsonl",
        folder / "suppressions.jsonl",
        folder / "events.jsonl",
    )


def run(files: SimulationFiles, folder: Path, processes: int) -> tuple[bytes, SimulationSummary]:
    out = folder / f"{processes}.jsonl"
    summary = simulate(files, out, processes=processes)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    return out.read_bytes(), summary


@pytest.mark.parametrize("processes", [2, 4])
def test_bytes_and_summary_are_those_of_one_process(files: SimulationFiles, tmp_path: Path, processes: int) -> None:
    alone, summary = run(files, tmp_path, 1)
    assert summary.duplicates and summary.refused > len(summary.problems) == 100
    assert run(files, tmp_path, processes) == (alone, summary)


def test_the_end_is_the_same(files: SimulationFiles, tmp_path: Path) -> None:
    until = replace(files, until=SIZE.start + 9 * DAY)
    alone, summary = run(until, tmp_path, 1)
    assert 0 < summary.events < 2_000
    assert run(until, tmp_path, 2) == (alone, summary)


@pytest.mark.parametrize("wrong", [b"{]\n", b'{"subject":"c-000001","time":"2025-01-20T00:00:00Z"}\n'])
def test_what_is_wrong_first_is_told(files: SimulationFiles, tmp_path: Path, wrong: bytes) -> None:
    lines = files.events.read_bytes().splitlines(keepends=True)
    for place in (3_000, 2_000):
        lines[place] = wrong
    broken = replace(files, events=tmp_path / "events.jsonl")
    broken.events.write_bytes(b"".join(lines))
    errors = []
    for processes in (1, 2):
        with pytest.raises(BadInput) as caught:
            run(broken, tmp_path, processes)
        errors.append(str(caught.value))
    assert errors[0] == errors[1] and ":2001:" in errors[0]


def test_each_event_is_read_in_full_by_one_and_moves_the_time_of_all(files: SimulationFiles) -> None:
    alone = [each for each in read_events(files.events, lambda _: False) if isinstance(each, SimulatedEvent)]
    shares = [list(read_events(files.events, lambda _: False, share=CustomerShare(index, 3))) for index in range(3)]
    for share in shares:
        expected, passed = [], 0
        for event in alone:
            if event in share:
                expected += [TimePassed(passed)] * (passed > 0) + [event]
                passed = 0
            else:
                passed = max(passed, event.at)
        assert share == expected + [TimePassed(passed)] * (passed > 0)
    owned = [event for share in shares for event in share if isinstance(event, SimulatedEvent)]
    assert sorted(event.number for event in owned) == [event.number for event in alone]


@pytest.mark.parametrize(
    "line", [b"", b"[]", b'{"subject":"c"}', b'{"subject":"c","time":"noon"}', b'{"subject":"\\u0063","time":"x"}']
)
def test_a_line_that_says_too_little_is_read_in_full_by_all(line: bytes) -> None:
    assert {CustomerShare(index, 2).time_of_others_event(line) for index in range(2)} == {None}
    assert ALL_CUSTOMERS.has("anybody")


def test_only_a_large_file_is_spread(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n")
    assert simulation.useful_processes(path) == 1
    with path.open("ab") as file:
        file.truncate(EVENTS_WORTH_PROCESSES)
    assert simulation.useful_processes(path) >= 1

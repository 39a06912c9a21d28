"""The generated year of a shop, and a cut of it through the simulation."""

import json
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas.times import DAY, format_instant, parse_instant
from services import simulation
from services.simulation.generated_year import INCIDENT_LENGTH, TrafficSize, event_lines, incident_times, write_traffic
from tests.support.command_line import EXAMPLES, run

pytestmark = pytest.mark.wired

CUT = TrafficSize(customers=1_000, events=20_000, days=28)
SMALL = TrafficSize(customers=50, events=2_000, days=60)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("year")
    write_traffic(folder, CUT)
    return folder


def decide(year: Path, out: Path) -> simulation.SimulationSummary:
    given = simulation.SimulationFiles(
        EXAMPLES / "campaigns",
        EXAMPLES / "policy.yaml",
        year / "customers.jsonl",
        year / "suppressions.jsonl",
        year / "events.jsonl",
    )
    return simulation.simulate(given, out, "none")


def lines(size: TrafficSize) -> list[dict[str, Any]]:
    return [json.loads(line) for line in event_lines(size)]


def test_a_cut_is_decided_twice_alike_within_bounded_memory(year: Path, tmp_path: Path) -> None:
    summary = decide(year, tmp_path / "one.jsonl")
    tracemalloc.start()
    try:
        assert decide(year, tmp_path / "two.jsonl") == summary
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert summary.events == 20_000 + summary.duplicates
    assert summary.refused == 0
    assert set(summary.outcomes) == {"send", "defer", "suppress"}
    wanted = {"eligible", "contact_history", "cap_window", "suppression_list", "opted_out_class", "incident_hold"}
    assert wanted <= set(summary.reasons)
    assert peak < 24 * 2**20


def test_equal_sizes_give_equal_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, size in (("one", SMALL), ("two", SMALL), ("three", TrafficSize(50, 2_000, 60, seed=8))):
        write_traffic(tmp_path / name, size)
    for file in ("customers.jsonl", "suppressions.jsonl", "events.jsonl"):
        one, two, three = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "three"))
        assert one == two != three


def test_it_makes_as_many_as_it_is_asked_for_within_its_days() -> None:
    found = lines(SMALL)
    assert len({line["id"] for line in found}) == 2_000
    assert format_instant(SMALL.start - DAY) < found[0]["time"]
    assert found[-1]["time"] < format_instant(SMALL.start + 60 * DAY)


def test_some_events_come_twice_and_some_late() -> None:
    found = lines(CUT)
    assert 0 < len(found) - len({line["id"] for line in found}) < 100
    times = [parse_instant(line["time"]) for line in found]
    assert 0 < sum(1 for before, after in pairwise(times) if after < before) < 200


def test_days_and_weeks_have_their_rhythm() -> None:
    found = lines(CUT)
    hours = Counter(line["time"][11:13] for line in found)
    assert hours["19"] > 5 * hours["03"]
    weekdays = Counter((parse_instant(line["time"]) // DAY + 3) % 7 for line in found)
    assert weekdays[5] > weekdays[1]


def test_orders_arrive_and_complaints_are_resolved() -> None:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for line in lines(CUT):
        by_type.setdefault(line["type"], []).append(line)
    placed = {line["data"]["order"]: line["time"] for line in by_type["shop.order.placed"]}
    for line in by_type["shop.order.delivered"]:
        assert placed[line["data"]["order"]] < line["time"]
    filed = {line["data"]["case"] for line in by_type["shop.complaint.filed"]}
    resolved = {line["data"]["case"] for line in by_type["shop.complaint.resolved"]}
    assert resolved < filed
    assert by_type["tactful.preference.changed"]


def test_incidents_show_in_the_traffic() -> None:
    spans = [(format_instant(start), format_instant(start + INCIDENT_LENGTH + DAY)) for start in incident_times(CUT)]
    told = [line["time"] for line in lines(CUT) if line["type"] == "shop.incident.declared"]
    assert told
    assert all(any(start <= time <= end for start, end in spans) for time in told if time > spans[0][0])


def test_the_command_writes_what_the_simulation_reads(tmp_path: Path) -> None:
    done = run("generate", tmp_path / "shop", "--customers", "50", "--events", "500", "--days", "7")
    assert (done.code, done.out) == (0, "")
    assert "50 customers and 500 events" in done.err and "Next: tactful simulate" in done.err
    assert decide(tmp_path / "shop", tmp_path / "out.jsonl").events >= 500


def test_the_command_refuses_a_start_that_is_no_midnight(tmp_path: Path) -> None:
    assert run("generate", tmp_path, "--start", "2026-01-01T09:00:00Z").code == 2
    assert run("generate", tmp_path, "--start", "soon").code == 2

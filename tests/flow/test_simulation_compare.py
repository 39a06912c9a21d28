"""Two runs over the same events, and what the comparison says about them."""

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from services import simulation
from services.orchestrator.policy.time_zones import load_zone
from services.simulation.compare import Comparison
from tests.support.command_line import EXAMPLES, CommandResult, run

pytestmark = pytest.mark.wired

BERLIN = load_zone("Europe/Berlin")


def line(message: int, time: str, outcome: str = "send", reason: str = "eligible", **fields: str) -> dict[str, Any]:
    empty = {"rule_id": None, "until": None, "allowed_from": None}
    words = {"customer": "ada", "campaign": "news", "channel": "email", **empty, **fields}
    return {
        "time": f"2026-03-02T{time}:00Z",
        "message_id": f"m-{message}",
        "outcome": outcome,
        "reason": reason,
        **words,
    }


def compared(tmp_path: Path, here: list[dict[str, Any]], against: list[dict[str, Any]]) -> dict[str, Any]:
    assert BERLIN is not None
    paths = (tmp_path / "here.jsonl", tmp_path / "against.jsonl")
    for path, lines in zip(paths, (here, against), strict=True):
        path.write_text("".join(json.dumps(each) + "\n" for each in lines), "utf-8")
    return Comparison(*paths, BERLIN).to_document()


def changed(difference: Mapping[str, Any], name: str) -> dict[str, tuple[int, int]]:
    rows = difference[f"by_{name}"]
    return {row[name]: (row["gained"], row["lost"]) for row in rows if row["gained"] or row["lost"]}


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    lines = [line(1, "09:00"), line(2, "09:00", "suppress", "frequency_cap")]
    found = compared(tmp_path, lines, lines)
    assert found["sends"] == {"here": 1, "against": 1, "gained": 0, "lost": 0, "moved": 0}
    assert found["customers"]["gained"] == found["customers"]["lost"] == {"count": 0, "most": []}
    assert [changed(found, name) for name in ("campaign", "channel", "reason", "hour")] == [{}] * 4


def test_a_send_that_the_other_run_refused_is_gained_with_the_reason_of_the_refusal(tmp_path: Path) -> None:
    here = [line(1, "09:00"), line(2, "10:00", campaign="ask", channel="push")]
    against = [line(1, "09:00"), line(2, "10:00", "suppress", "frequency_cap", campaign="ask", channel="push")]
    found = compared(tmp_path, here, against)
    assert (found["sends"]["gained"], found["sends"]["lost"]) == (1, 0)
    assert changed(found, "campaign") == {"ask": (1, 0)}
    assert changed(found, "channel") == {"push": (1, 0)}
    assert changed(found, "reason") == {"frequency_cap": (1, 0)}
    assert changed(found, "hour") == {"11": (1, 0)}  # 10:00 UTC in Berlin
    assert changed(compared(tmp_path, against, here), "reason") == {"frequency_cap": (0, 1)}


def test_the_last_reason_counts_and_a_campaign_that_was_not_triggered_has_its_own(tmp_path: Path) -> None:
    here = [line(1, "12:00"), line(2, "12:00")]
    against = [line(1, "09:00", "defer", "quiet_hours"), line(1, "10:00", "suppress", "expired")]
    assert changed(compared(tmp_path, here, against), "reason") == {"expired": (1, 0), "not_triggered": (1, 0)}


def test_a_send_at_another_time_is_moved_and_no_gain(tmp_path: Path) -> None:
    found = compared(tmp_path, [line(1, "09:00"), line(2, "09:10")], [line(2, "09:20"), line(1, "11:00")])
    assert found["sends"] == {"here": 2, "against": 2, "gained": 0, "lost": 0, "moved": 2}
    assert changed(found, "hour") == {"10": (1, 0), "12": (0, 1)}
    assert changed(found, "campaign") == {}


def test_customers_are_listed_by_their_change_with_both_lines_of_a_few_messages(tmp_path: Path) -> None:
    here = [line(number, f"1{number}:00", customer="ada") for number in range(5)]
    here += [line(6, "15:00", "suppress", "frequency_cap", customer="bo"), line(7, "15:00", customer="cy")]
    against = [line(0, "10:00", customer="ada"), line(6, "15:00", customer="bo"), line(7, "15:00", customer="cy")]
    customers = compared(tmp_path, here, against)["customers"]
    assert customers["reached"] == {"here": 2, "against": 3}
    (ada,) = customers["gained"]["most"]
    assert (ada["customer"], ada["here"], ada["against"]) == ("ada", 5, 1)
    assert [each["message_id"] for each in ada["messages"]] == ["m-1", "m-2", "m-3"]
    assert ada["messages"][0]["against"] is None
    (bo,) = customers["lost"]["most"]
    assert bo["messages"][0]["here"]["reason"] == "frequency_cap"
    assert bo["messages"][0]["against"]["outcome"] == "send"


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    """The policy of the examples with a longer rest after complaints."""
    path = tmp_path / "loose.yaml"
    text = (EXAMPLES / "policy.yaml").read_text("utf-8")
    path.write_text(text.replace("within: 30d, while_open", "within: 60d, while_open"), "utf-8")
    return path


def simulate(out: Path, *more: str | Path) -> CommandResult:
    given: list[str | Path] = [
        "--campaigns",
        EXAMPLES / "campaigns",
        "--policy",
        EXAMPLES / "policy.yaml",
        "--out",
        out,
    ]
    given += ["--preferences", EXAMPLES / "customers.jsonl", "--suppressions", EXAMPLES / "suppressions.jsonl"]
    return run("simulate", *given, "--events", EXAMPLES / "events.jsonl", *more)


def test_the_command_writes_the_difference_beside_the_decisions(tmp_path: Path, loose: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = simulate(out, "--against", loose, "-o", "json")
    assert done.code == 0
    found = done.data
    assert found == json.loads((tmp_path / "out.diff.json").read_text("utf-8"))
    assert (found["here"]["policy"], found["against"]["policy"]) == ("policy.yaml", "loose.yaml")
    assert changed(found, "campaign") == {"referral-ask": (1, 0)}
    assert changed(found, "reason") == {"contact_history": (1, 0)}
    alone = tmp_path / "alone.jsonl"
    simulate(alone, "--policy", loose)
    assert alone.read_bytes() == (tmp_path / "out.against.jsonl").read_bytes()


def test_the_command_shows_what_differs_as_a_table(tmp_path: Path, loose: Path) -> None:
    done = simulate(tmp_path / "out.jsonl", "--against", loose)
    rows = [words.split() for words in done.out.splitlines()]
    assert rows[0] == ["by", "which", "here", "against", "gained", "lost"]
    assert ["campaign", "referral-ask", "2", "1", "1", "0"] in rows
    assert ["customer", "bruno", "2", "1", "-", "-"] in rows
    assert "1 customers get more, 0 get fewer" in done.err


def test_a_campaign_that_is_only_here_gains_what_was_not_triggered(tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in (EXAMPLES / "campaigns").glob("*.yaml"):
        if path.stem != "order-shipped":
            (fewer / path.name).write_bytes(path.read_bytes())
    found = simulate(tmp_path / "out.jsonl", "--against-campaigns", fewer, "-o", "json").data
    gained, lost = changed(found, "campaign")["order-shipped"]
    assert gained > 0 == lost
    assert changed(found, "reason")["not_triggered"] == (gained, 0)


class Checker(HTMLParser):
    """What a page loads from elsewhere, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_picture_is_one_file_with_a_table_beside_each_chart_and_no_script(tmp_path: Path, loose: Path) -> None:
    picture = tmp_path / "picture.html"
    assert simulate(tmp_path / "out.jsonl", "--against", loose, "--picture", picture).code == 0
    text = picture.read_text("utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.seen.count("svg") == checker.seen.count("table") == 4
    assert "script" not in checker.seen
    assert not re.search(r"https?://|url\(|@import", text)
    assert "referral-ask: 1 gained, 0 lost" in text


def test_the_picture_shows_names_as_text(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    found = compared(tmp_path, [line(1, "09:00", customer=nasty, reason=nasty)], [])
    whole = {"here": {"policy": "a", "campaigns": "b"}, "against": {"policy": "c", "campaigns": "d"}, **found}
    assert nasty not in simulation.render_difference(whole)


def test_a_picture_needs_something_to_compare_with(tmp_path: Path) -> None:
    assert simulate(tmp_path / "out.jsonl", "--picture", tmp_path / "picture.html").code == 2

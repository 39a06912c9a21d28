"""`tactful simulate`: files in, decisions out, no server."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.command_line import EXAMPLES, CommandResult, run

pytestmark = pytest.mark.wired


def simulate(out: Path, *more: str | Path) -> CommandResult:
    files = {
        "--campaigns": EXAMPLES / "campaigns",
        "--policy": EXAMPLES / "policy.yaml",
        "--preferences": EXAMPLES / "customers.jsonl",
        "--suppressions": EXAMPLES / "suppressions.jsonl",
        "--events": EXAMPLES / "events.jsonl",
        "--out": out,
    }
    return run("simulate", *(part for pair in files.items() for part in pair), *more)


def test_the_shop_of_the_examples(tmp_path: Path) -> None:
    done = simulate(tmp_path / "out.jsonl")
    assert done.code == 0
    assert done.err == (
        "34 events, 50 decisions: 1 defer, 15 send, 34 suppress\n"
        f"Each decision, with what decided it, is a line of {tmp_path / 'out.jsonl'}\n"
    )
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    asked = [line for line in lines if (line["customer"], line["campaign"]) == ("bruno", "referral-ask")]
    assert [
        (line["outcome"], line["rule_id"], line["allowed_from"]) for line in asked if line["channel"] == "email"
    ] == [
        ("suppress", "no-ask-after-complaint", None),
        ("suppress", "no-ask-after-complaint", "2026-04-09T09:00:00Z"),
        ("send", None, None),
    ]
    reasons = Counter(line["reason"] for line in lines)
    assert {"suppression_list", "opted_out_class", "opted_out_topic", "no_address", "cap_window"} <= set(reasons)


def test_it_prints_what_each_campaign_got_by_outcome_and_reason(tmp_path: Path) -> None:
    rows = [line.split() for line in simulate(tmp_path / "out.jsonl").out.splitlines()]
    assert rows[0] == ["campaign", "outcome", "reason", "decisions"]
    assert ["product-news", "suppress", "not_in_audience", "10"] in rows
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    decided = Counter((line["campaign"], line["outcome"], line["reason"]) for line in lines)
    assert {tuple(row[:3]): int(row[3]) for row in rows[1:]} == decided
    for_programs = json.loads(simulate(tmp_path / "out.jsonl", "--output", "json").out)
    assert for_programs["decisions"] == 50
    assert sum(row["decisions"] for row in for_programs["counts"]) == 50


def test_until_and_trace(tmp_path: Path) -> None:
    until = ("--until", "2026-03-02T08:00:00Z")
    assert simulate(tmp_path / "none.jsonl", *until, "--trace", "none").code == 0
    assert simulate(tmp_path / "full.jsonl", *until, "--trace", "full").code == 0
    none = [json.loads(line) for line in (tmp_path / "none.jsonl").read_text("utf-8").splitlines()]
    full = [json.loads(line) for line in (tmp_path / "full.jsonl").read_text("utf-8").splitlines()]
    assert [line["customer"] for line in none] == ["ada", "ada"]
    assert "verdicts" not in none[0] and len(full[0]["verdicts"]) >= 16


def test_a_file_that_cannot_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"specversion": "1.0"}\n', "utf-8")
    done = simulate(tmp_path / "out.jsonl", "--events", events)
    assert done.code == 1
    assert f"error: {events}:1: /id: " in done.err


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert simulate(tmp_path / "out.jsonl", "--policy", tmp_path / "none.yaml").code == 2
    assert simulate(tmp_path / "out.jsonl", "--until", "tomorrow").code == 2


def test_numbers_in_national_form_are_read_in_the_region_that_is_given(tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "conformance" / "34-unusable-addresses"
    files = {"preferences": "preferences.jsonl", "events": "events.jsonl", "policy": "policy.yaml"}
    arguments = [word for name, file in files.items() for word in (f"--{name}", str(case / file))]
    outcomes = []
    for region in ([], ["--region", "gb"]):
        out = tmp_path / "decisions.jsonl"
        done = run("simulate", "--campaigns", str(case / "campaigns"), *arguments, *region, "--out", str(out))
        assert done.code == 0
        decided = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
        outcomes.append([line["outcome"] for line in decided if line["customer"] == "c-5"])
    assert outcomes == [["suppress", "send"], ["send", "send"]]
    refused = run("simulate", "--campaigns", str(case / "campaigns"), *arguments, "--region", "XX", "--out", str(out))
    assert refused.code == 2 and "ISO 3166" in refused.err


CASE = EXAMPLES.parent / "tests" / "conformance" / "37-fallback-that-is-never-confirmed"


def simulate_fallback(out: Path, *more: str) -> CommandResult:
    names = {
        "preferences": "preferences.jsonl",
        "events": "events.jsonl",
        "policy": "policy.yaml",
        "campaigns": "campaigns",
    }
    files = [part for option, name in names.items() for part in (f"--{option}", CASE / name)]
    return run("simulate", *files, "--out", out, "--trace", "none", *more)


@pytest.mark.parametrize(
    ("confirm_after", "sends"), [((), 3), (("never",), 8), (("0s",), 3), (("20m",), 3), (("45m",), 6), (("2h",), 7)]
)
def test_a_campaign_falls_back_where_no_delivery_is_confirmed_in_time(
    tmp_path: Path, confirm_after: tuple[str, ...], sends: int
) -> None:
    done = simulate_fallback(tmp_path / "out.jsonl", *(("--confirm-after", *confirm_after) if confirm_after else ()))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert sum(line["outcome"] == "send" for line in lines) == sends


def test_what_is_no_duration_is_refused(tmp_path: Path) -> None:
    done = simulate_fallback(tmp_path / "out.jsonl", "--confirm-after", "soon")
    assert done.code == 2
    assert "--confirm-after" in done.err and "never" in done.err

"""`tactful dlq`, and the commands of the runbooks about dead letters, with the output that these show."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import RunningProduct, run
from tests.support.runbook_transcripts import RUNBOOKS, SHIPPED, product_with_letters, publish, renew_output

pytestmark = pytest.mark.wired


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[RunningProduct]:
    """A product with a letter in each service."""
    with product_with_letters(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_the_commands_of_the_runbooks_say_what_these_show(faulty: RunningProduct, path: Path) -> None:
    text = path.read_text("utf-8")
    assert renew_output(text, faulty) == text, "run python -m tests.support.runbook_transcripts"
    assert text.count("$ tactful dlq") >= 2


def test_the_whole_life_of_letters(faulty: RunningProduct) -> None:
    listed = faulty.run("dlq", "list", "-o", "json")
    assert listed.code == 0, listed.err
    assert sorted(each["id"] for each in listed.data) == ["orchestrator-1", "preference-1", "suppression-1"]
    assert "open: orchestrator 1, preference 1, suppression 1" in listed.err
    assert yaml.safe_load(faulty.run("dlq", "list", "-o", "yaml").out) == listed.data
    for filters, ids in (
        (("--service", "preference"), ["preference-1"]),
        (("--type", "shop.order.shipped"), ["orchestrator-1"]),
        (("--customer", "nobody"), []),
        (("--state", "redriven"), []),
        (("--state", "all", "--limit", "1"), [listed.data[0]["id"]]),
    ):
        assert [each["id"] for each in faulty.run("dlq", "list", *filters, "-o", "json").data] == ids
    doctor = faulty.run("doctor", "-o", "json")
    found = {each["check"]: each["state"] for each in doctor.data}
    assert {found[f"dead letters {name}"] for name in ("orchestrator", "preference", "suppression")} == {"red"}
    assert doctor.code == 1

    shown = faulty.run("dlq", "show", "orchestrator-1", "-o", "json").data
    assert json.loads(shown["content"]["value"]["text"]) == SHIPPED
    assert {each["campaign"] for each in shown["dry_run"]["decisions"]} == {"order-shipped"}
    for options in ((), ("--no-dry-run",)):  # what nobody has tried is no reason to discard it
        told = faulty.run("dlq", "show", "orchestrator-1", *options).err
        assert "Next: tactful dlq redrive orchestrator-1" in told

    tried = faulty.run("dlq", "redrive", "--all", "--dry-run", "-o", "json")
    assert tried.code == 0, tried.err
    assert [each["effect"] for each in tried.data["items"]] == ["applied"] * 3
    redriven = faulty.run("dlq", "redrive", "orchestrator-1", "preference-1", "--reason", "clock", "-o", "json")
    assert redriven.code == 0, redriven.err
    assert (redriven.data["state"], redriven.data["results"]["redriven"]) == ("done", 2)
    discarded = faulty.run("dlq", "discard", "suppression-1", "--reason", "a test", "-o", "json")
    assert [(each["state"], each["close_reason"]) for each in discarded.data] == [("discarded", "a test")]
    assert faulty.run("dlq", "list", "-o", "json").data == []
    found = {each["check"]: each["state"] for each in faulty.run("doctor", "-o", "json").data}
    assert found["dead letters preference"] == found["dead letters suppression"] == "green"


def test_what_cannot_be_applied_is_told_by_exit_code_and_words(faulty: RunningProduct) -> None:
    publish(faulty, b"not json")
    (letter,) = [each for each in faulty.run("dlq", "list", "-o", "json").data if each["event"]["id"] is None]
    done = faulty.run("dlq", "redrive", letter["id"], "--reason", "let us see")
    assert done.code == 1
    assert (
        f"{letter['id']}" in done.out and "1 still dead" in done.err and "1 of 1 letters were not redriven" in done.err
    )
    assert faulty.run("dlq", "show", "preference-99").code == 3
    assert faulty.run("dlq", "discard", "billing-1", "--reason", "x").code == 3
    key = faulty.ask("POST", "/v1/keys", {"name": "reader", "role": "auditor"})["key"]
    refused = faulty.run("dlq", "redrive", "--all", "--reason", "x", TACTFUL_ADMIN_KEY=key)
    assert refused.code == 4, refused.err
    assert faulty.run("dlq", "list", TACTFUL_ADMIN_KEY=key).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("redrive",),
        ("redrive", "preference-1"),
        ("redrive", "preference-1", "--all", "--reason", "x"),
        ("redrive", "preference-1", "--type", "t", "--reason", "x"),
        ("redrive", "--all", "--rate", "0", "--reason", "x"),
        ("discard", "preference-1"),
        ("discard", "--reason", "x"),
        ("list", "--service", "billing"),
        ("show",),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(nothing: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert run("dlq", *arguments, given=nothing).code == 2

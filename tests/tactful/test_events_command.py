"""`tactful events send`."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import NOON, RunningProduct, run

pytestmark = pytest.mark.wired


def test_an_event_is_sent_and_its_decisions_are_shown(tactful: RunningProduct) -> None:
    done = tactful.run("events", "send", "shop.order.shipped", "--customer", "chiara", "--set", "order=A-1")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["campaign", "channel", "outcome", "reason", "rule", "until"]
    assert ["order-shipped", "email", "send", "eligible", "-", "-"] in [line.split() for line in done.out.splitlines()]
    assert "accepted e-" in done.err and "Next: tactful why chiara order-shipped" in done.err


def test_data_are_built_from_json_and_fields(tactful: RunningProduct) -> None:
    fields = ("--set", "total=12.5", "--set", "gift=true", "--set", "box.size=L", "--set", "order=007")
    given = ("--customer", "dario", "--data", '{"carrier": "DHL"}', *fields, "-o", "json")
    done = tactful.run("events", "send", "shop.order.shipped", *given)
    item = done.data[0]
    assert [decision["outcome"] for decision in item["decisions"]] == ["send", "suppress"]
    tactful.ask("POST", "/v1/dev/clock", {"settle": True})
    rendered = tactful.ask("GET", "/v1/sandbox/messages?customer=dario")["items"]
    assert rendered[0]["content"]["subject"] == "Your order 007 is on its way"
    assert "with DHL" in rendered[0]["content"]["text"]


def test_the_time_is_that_of_the_product(tactful: RunningProduct) -> None:
    done = tactful.run("events", "send", "shop.order.shipped", "--customer", "sven", "-o", "json")
    assert {decision["event"]["time"] for decision in done.data[0]["decisions"]} == {NOON}


def test_an_event_that_triggers_nothing_says_so(tactful: RunningProduct) -> None:
    done = tactful.run("events", "send", "shop.complaint.filed", "--customer", "nora", "--set", "case=K-1")
    assert (done.code, done.out) == (0, "")
    assert "It triggers no active campaign." in done.err


def test_the_same_event_again_is_a_duplicate(tactful: RunningProduct) -> None:
    send = ("events", "send", "shop.order.shipped", "--customer", "lea", "--id", "e-1", "--source", "/tests")
    assert "accepted e-1" in tactful.run(*send).err
    assert "duplicate e-1" in tactful.run(*send).err


def test_a_file_of_many_events_is_sent_in_batches_and_faults_are_named(tactful: RunningProduct, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    good = {"specversion": "1.0", "source": "/f", "type": "shop.other", "subject": "omar", "time": NOON}
    lines = [json.dumps({**good, "id": f"e-{number}"}) for number in range(501)]
    lines[3] = json.dumps({**good, "id": "e-3", "time": "yesterday"})
    events.write_text("\n".join(lines) + "\n", "utf-8")
    done = tactful.run("events", "send", "--file", events)
    assert done.code == 1
    assert "invalid e-3: /time: not an RFC 3339 time with a zone" in done.err
    assert "499 accepted, 1 invalid" in done.err and "accepted e-500" in done.err
    assert "error: 1 event was not accepted" in done.err


def test_one_event_in_yaml_is_sent(tactful: RunningProduct, tmp_path: Path) -> None:
    path = tmp_path / "event.yaml"
    path.write_text(
        "specversion: '1.0'\nid: e-yaml\nsource: /f\ntype: shop.order.shipped\nsubject: mateo\n"
        f"time: {NOON}\ndata: {{order: A-9}}\n"
    )
    done = tactful.run("events", "send", "--file", path, "-o", "json")
    assert done.data[0]["status"] == "accepted"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give either a TYPE or a --file"),
        (["shop.x"], "an event needs a customer"),
        (["shop.x", "--customer", "ada", "--set", "total"], "`total` is not name=value"),
        (["shop.x", "--customer", "ada", "--set", "a=1", "--set", "a.b=1"], "`a` already has a value"),
        (["shop.x", "--customer", "ada", "--time", "noon"], "not an RFC 3339 time"),
    ],
)
def test_wrong_usage_ends_with_2(nothing: dict[str, str], arguments: list[str], complaint: str) -> None:
    done = run("events", "send", *arguments, given=nothing)
    assert (done.code, done.out) == (2, "")
    assert complaint in " ".join(done.err.split())

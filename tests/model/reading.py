"""Reads the files of a run into the model."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.documents import load_document
from tests.model.instants import duration, instant
from tests.model.people import Document, Person
from tests.model.planning import Speaking
from tests.model.simulation import Line, Simulation

FIELDS = (
    *("time", "message_id", "customer", "campaign", "channel"),
    *("outcome", "reason", "rule_id", "until", "lost_to"),
)


def json_lines(path: Path) -> list[Document]:
    """The objects of a file, one a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def decisions_of(folder: Path) -> list[Line]:
    """The lines that the model gives for a folder laid out like a conformance case."""
    campaigns = [load_document(path.read_bytes()) for path in sorted((folder / "campaigns").iterdir())]
    policy = load_document(next(folder.glob("policy.*")).read_bytes())
    people = {each["customer"]: Person(each["customer"], each) for each in json_lines(folder / "preferences.jsonl")}
    against = json_lines(folder / "suppressions.jsonl")
    entries = [each for each in against if "mode" not in each]
    for entry in entries:
        if "customer" in entry:
            people.setdefault(entry["customer"], Person(entry["customer"])).entries.append(entry)
    stops = [each for each in against if "mode" in each]
    speaking = Speaking(policy, stops, [each for each in entries if "address" in each])
    told = folder / "confirm-after.txt"
    text = told.read_text("utf-8").strip() if told.exists() else "0s"
    confirm_after = {"never": None, "0s": 0}[text] if text in ("never", "0s") else duration(text)
    simulation = Simulation(campaigns, speaking, list(people.values()), confirm_after)
    return simulation.run(json_lines(folder / "events.jsonl"), instant((folder / "until.txt").read_text().strip()))

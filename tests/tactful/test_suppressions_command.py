"""`tactful suppressions`."""

import csv
import io
import uuid
from pathlib import Path

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired


def write_list(tmp_path: Path, name: str = "list.csv") -> tuple[Path, str]:
    """A file with one row that is taken and one that is refused, and the mailbox of the first."""
    mailbox = f"m{uuid.uuid4().hex[:10]}@example.org"
    path = tmp_path / name
    path.write_text(f"address;channel;reason\n{mailbox};email;legal\nnot-one;email;legal\n", "utf-8")
    return path, mailbox


def test_a_list_is_rehearsed_imported_and_exported(tactful: RunningProduct, tmp_path: Path) -> None:
    path, mailbox = write_list(tmp_path)
    dry = tactful.run("suppressions", "import", path, "--dry-run", "-o", "json")
    assert (dry.code, dry.data["dry_run"], dry.data["added"]) == (1, True, 1)
    assert [item["row"] for item in dry.data["items"]] == [3]
    assert tactful.ask("POST", "/v1/suppressions/lookup", {"address": mailbox})["items"] == []
    done = tactful.run("suppressions", "import", path)
    assert done.code == 1
    assert "not_an_email" in done.out and "suppressions results imp_" in done.err
    assert mailbox not in done.out
    assert len(tactful.ask("POST", "/v1/suppressions/lookup", {"address": mailbox})["items"]) == 1
    target = tmp_path / "export.csv"
    assert tactful.run("suppressions", "export", "--reason", "legal", "--to", target).code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert f"m***@{mailbox.partition('@')[2]}" in {row["address_masked"] for row in rows}
    id = dry.data["id"]
    results = tactful.run("suppressions", "results", id, "--refused", "--format", "jsonl")
    assert '"row":3' in results.out


def test_the_administrator_alone_removes_nothing(tactful: RunningProduct) -> None:
    body = {"customer": f"c-{uuid.uuid4().hex[:8]}", "reason": "manual"}
    entry = tactful.ask("POST", "/v1/suppressions", body)["id"]
    asked = tactful.run("suppressions", "remove", entry, "--reason", "a mistake", "-o", "json")
    assert asked.code == 0, asked.err
    request = asked.data[0]["id"]
    assert request in tactful.run("suppressions", "removals").out
    refused = tactful.run("suppressions", "approve", request)
    assert refused.code != 0
    assert "somebody else has to approve" in refused.err
    assert tactful.run("suppressions", "decline", request, "-o", "json").data[0]["state"] == "withdrawn"


def test_a_file_whose_name_does_not_say_its_format_is_asked_about(tactful: RunningProduct, tmp_path: Path) -> None:
    path, _ = write_list(tmp_path, "list.dat")
    asked = tactful.run("suppressions", "import", path)
    assert (asked.code, "--format" in asked.err) == (2, True)
    missing = tactful.run("suppressions", "import", tmp_path / "none.csv")
    assert (missing.code, "No such file" in missing.err) == (1, True)
    wrong = tactful.run("suppressions", "import", path, "--format", "jsonl")
    assert wrong.code == 1

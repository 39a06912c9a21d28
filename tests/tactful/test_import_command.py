"""`tactful import`."""

import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired

PAGE = (Path(__file__).parents[2] / "docs" / "imports.md").read_text("utf-8")
COMMANDS = re.findall(r"^tactful import .*$", PAGE, re.MULTILINE)
FILES = dict(re.findall(r"^`(\w+\.csv)`:\n```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def test_a_file_is_rehearsed_imported_and_its_results_are_written(tactful: RunningProduct, tmp_path: Path) -> None:
    customer = f"c-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "contacts.csv"
    row = f"{customer};2024-05-01T09:00:00Z;phone;service"
    path.write_text(f"customer;at;channel;class\n{row}\n{row}\n{row.replace('phone', 'phnoe')}\n", "utf-8")
    dry = tactful.run("import", "contacts", path, "--dry-run", "-o", "json")
    assert (dry.code, dry.data["dry_run"], dry.data["added"], dry.data["exists"]) == (1, True, 1, 1)
    assert [(item["row"], item["pointer"]) for item in dry.data["items"]] == [(4, "/channel")]
    assert tactful.ask("GET", f"/v1/contacts/{customer}")["contacts"] == []
    done = tactful.run("import", "contacts", path)
    assert done.code == 1
    assert "unknown_channel" in done.out and "import results contacts imp_" in done.err
    assert len(tactful.ask("GET", f"/v1/contacts/{customer}")["contacts"]) == 1
    results = tactful.run("import", "results", "contacts", dry.data["id"], "--refused", "--format", "jsonl")
    assert '"row":4' in results.out


def test_the_commands_of_the_page_are_commands(tactful: RunningProduct, tmp_path: Path) -> None:
    assert [command.split()[2] for command in COMMANDS] == [
        *("consents", "situations", "contacts", "customers", "results")
    ]
    id = ""
    for command in COMMANDS:
        words = [id if word == "ID" else word for word in shlex.split(command)[1:]]
        if words[2] in FILES:
            (tmp_path / words[2]).write_text(FILES[words[2]], "utf-8")
            words = [*words[:2], str(tmp_path / words[2]), *words[3:], "-o", "json"]
        ran = tactful.run(*words)
        assert ran.code in (0, 1), ran.err  # the policy of the product at hand may have other topics and situations
        if words[1] == "contacts":
            id = ran.data["id"]
            assert ran.data["refused"] == 0

"""`tactful audit`."""

import json
from pathlib import Path

import msgspec
import pytest

from schemas.audit_log import read_line
from services.kit.audit_signature import HeadKey
from tests.support.command_line import CommandResult, RunningProduct, run

pytestmark = pytest.mark.wired
KEY = HeadKey("a-key-for-the-heads-of-tests")


@pytest.fixture(scope="module")
def lines(tactful: RunningProduct) -> list[str]:
    """The export of a log with several entries."""
    for number in range(3):
        tactful.ask("GET", f"/v1/contacts/audited-{number}")
    done = tactful.run("audit", "export")
    assert done.code == 0, done.err
    return done.out.splitlines()


def verify(folder: Path, lines: list[str], *arguments: str | Path) -> CommandResult:
    file = folder / "audit.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return run("audit", "verify", file, *arguments)


def heads_file(folder: Path, lines: list[str]) -> Path:
    """A log of a process, with the head among other lines."""
    last = read_line(lines[-1])
    head = msgspec.to_builtins(KEY.sign(last.seq, last.digest, 1))
    file = folder / "heads.jsonl"
    file.write_text(f'{{"event": "request"}}\n{json.dumps({"event": "audit_head", "head": head})}\n', "utf-8")
    return file


def test_an_export_is_found_in_order(tactful: RunningProduct, lines: list[str], tmp_path: Path) -> None:
    done = verify(tmp_path, lines, "--heads", heads_file(tmp_path, lines), "--public-key", KEY.public_key)
    assert done.code == 0, done.err
    assert f"{len(lines)} entries are in order" in done.err
    assert "1 signed heads agree" in done.err
    assert "audited-1" not in "".join(lines)
    assert tactful.run("audit", "verify").code == 0


def test_without_a_head_it_says_what_is_not_seen(lines: list[str], tmp_path: Path) -> None:
    done = verify(tmp_path, lines[:-2])
    assert done.code == 0
    assert "No signed head was given" in done.err


def test_the_place_is_named(lines: list[str], tmp_path: Path) -> None:
    heads = heads_file(tmp_path, lines)
    changed = lines[2].replace("admin", "adm1n", 1)
    assert changed != lines[2]
    for tampered, place in (
        ([*lines[:2], changed, *lines[3:]], "entry 3 (changed)"),
        ([*lines[:2], *lines[3:]], "entry 3 (missing)"),
        ([lines[0], lines[2], lines[1], *lines[3:]], "entry 2 (missing)"),
        (lines[:-1], f"entry {len(lines)} (cut)"),
    ):
        done = verify(tmp_path, tampered, "--heads", heads)
        assert (done.code, place in done.err) == (1, True), done.err


def test_a_head_that_another_key_signed_is_refused(lines: list[str], tmp_path: Path) -> None:
    other = HeadKey("another-key-of-these-tests").public_key
    done = verify(tmp_path, lines, "--heads", heads_file(tmp_path, lines), "--public-key", other)
    assert done.code == 1
    assert "(bad_signature)" in done.err


def test_what_is_no_export_is_refused_with_its_line(lines: list[str], tmp_path: Path) -> None:
    done = verify(tmp_path, [lines[0], "{}"])
    assert done.code == 1
    assert "line 2" in done.err
    assert run("audit", "verify", tmp_path / "nowhere").code == 1


def test_what_is_about_a_customer_is_listed(tactful: RunningProduct, lines: list[str]) -> None:
    done = tactful.run("audit", "list", "--customer", "audited-1", "-o", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    asked = [each for each in found if each["event"] == "asked"]
    assert asked[0]["route"] == "/v1/contacts/{customer}"
    assert all(each["route"] == "/v1/audit-log" for each in asked[1:]), "whoever lists it is in it too"
    assert tactful.run("audit", "list", "--customer", "audited-1", "--by", "nobody").out == ""
    assert "say whose entries to list" in tactful.run("audit", "list").err

"""Runs the commands of docs/lab.md: receipts come back, and what they forbid is forbidden."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import ROOT, CommandResult, RunningProduct, product, run
from tests.support.running_lab import LabProcess, lab_process
from tests.support.servers import free_port

pytestmark = pytest.mark.wired

PAGE = (ROOT / "docs" / "lab.md").read_text("utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for kind, body in FENCED if not kind for line in body.splitlines()]
SHOWN = [line.split() for kind, body in FENCED if kind == "console" for line in body.splitlines()[1:]]
START, SETTINGS, DEV, *REST = COMMANDS


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """The first command of the page, on other ports."""
    assert START == "tactful lab"
    told = f"http://127.0.0.1:{free_port()}"
    with lab_process(tmp_path_factory.mktemp("lab") / "data", "--receipts", told) as running:
        yield running


@pytest.fixture(scope="module")
def shop(lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """The second and the third one."""
    assert (SETTINGS, DEV) == ('eval "$(tactful lab settings resend)"', "tactful dev --no-demo")
    printed = run("lab", "settings", "resend", "--data-dir", lab.directory).out
    words = [shlex.split(line) for line in printed.splitlines()]
    assert all(line[0] == "export" and len(line) == 2 for line in words)
    given = {name: value for name, _, value in (line[1].partition("=") for line in words)}
    given["TACTFUL_WEB__PORT"] = lab.options[-1].rpartition(":")[2]
    with product(tmp_path_factory.mktemp("shop") / "data", "--no-demo", **given) as running:
        yield running


def follow(command: str, lab: LabProcess, shop: RunningProduct) -> CommandResult:
    """One command of the page, for this lab and this product."""
    program, *arguments = shlex.split(command)
    assert program == "tactful"
    words = [str(ROOT / each) if each.startswith("examples/") else each for each in arguments]
    if words[0] == "lab":
        return run(*words, "--data-dir", lab.directory)
    return shop.run(*words)


def wait_for_receipts(lab: LabProcess, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(run("lab", "receipts", "--data-dir", lab.directory, "-o", "json").data) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_page_can_be_followed(lab: LabProcess, shop: RunningProduct) -> None:
    results: dict[str, CommandResult] = {}
    for command in REST:
        if command == "tactful lab receipts":
            wait_for_receipts(lab, len(SHOWN))
        results[command] = follow(command, lab, shop)
        assert results[command].code == 0, (command, results[command].screen)
    log = results["tactful lab log"].out
    assert [log.count(word) for word in ("resend", "accepted")] == [3, 3]
    receipts = run("lab", "receipts", "--data-dir", lab.directory, "-o", "json").data
    assert sorted([each["provider"], each["kind"], str(each["status"])] for each in receipts) == sorted(SHOWN)
    for name, reason in (("ben", "hard_bounce"), ("cleo", "spam_complaint")):
        assert results[f"tactful why {name} order-shipped"].out.startswith("suppress ")
        entries = shop.ask("GET", "/v1/suppressions")["items"]
        assert reason in {each["reason"] for each in entries}
    assert {each["status"] for each in shop.ask("GET", "/v1/messages")["items"]} == {"accepted"}


def test_every_fault_and_fate_and_provider_is_on_the_page() -> None:
    from services.lab.lab_script import BLOCKED_TAG, FATES, FAULT_NAMES
    from services.lab.provider_registry import load_providers

    named = [f"`{each}`" for each in (*FAULT_NAMES, *load_providers())]
    named += [f"`+{tag}`" for tag in (*FATES, BLOCKED_TAG)]
    assert [each for each in named if each not in PAGE] == []


def test_where_the_lab_is_not_running_its_settings_are_those_of_the_default_port(tmp_path: Path) -> None:
    printed = run("lab", "settings", "postmark", "--data-dir", tmp_path)
    assert "export TACTFUL_POSTMARK__URL=http://127.0.0.1:8025/postmark\n" in printed.out

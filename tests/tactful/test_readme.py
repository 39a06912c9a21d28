"""Runs the README's commands in virtual time and compares what they print; also checks links and file names."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.command_line import ROOT, RunningProduct, product, run

pytestmark = pytest.mark.wired

README = (ROOT / "README.md").read_text("utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
CONSOLE = [tuple(body.removeprefix("$ tactful ").split("\n", 1)) for kind, body in FENCED if kind == "console"]
COMPLAINT = re.findall(r"complaint opened on (\d+ \w+ \d+, [\d:]+ UTC) must", README)
"""When the README's complaint was filed."""
CHANGING = re.compile(r"\be-[0-9a-f]{12}\b")
MOST_COMMANDS = 8


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """What `make run` starts, with the clock stopped at the README's time, so that the shop sends no events."""
    clock = datetime.strptime(COMPLAINT[0], "%d %B %Y, %H:%M:%S UTC").replace(tzinfo=UTC).isoformat()
    with product(tmp_path_factory.mktemp("shop") / "data", "--clock", clock) as running:
        started = running.run("demo", "start")
        assert started.code == 0, started.err
        yield running


def blocks() -> list[str]:
    """The commands of the blocks without output; continued lines are joined."""
    lines = [line for kind, body in FENCED if not kind for line in body.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("tactful ") for line in lines if line.startswith("tactful ")]


def same(text: str) -> str:
    """The output without values that differ from run to run, and without trailing blanks."""
    return "\n".join(line.rstrip() for line in CHANGING.sub("*", text).strip().splitlines())


def test_the_way_to_the_reason_is_short() -> None:
    quick_start = README.partition("## Quick start")[2].partition("\n## ")[0]
    within = [body for _, body in re.findall(r"^```(\w*)\n(.*?)^```$", quick_start, re.DOTALL | re.MULTILINE)]
    commands = [
        line for body in within for line in body.splitlines() if re.match(r"(\$ )?(make|source|tactful) ", line)
    ]
    assert commands[0].startswith("make run") and commands[-1] == "$ tactful why bruno referral-ask"
    assert len(commands) <= MOST_COMMANDS


def test_the_quick_start_prints_what_the_readme_shows(shop: RunningProduct) -> None:
    complaint = blocks()[0]
    assert "shop.complaint.filed" in complaint and len(CONSOLE) == 2
    assert shop.run(*shlex.split(complaint)).code == 0
    for command, shown in CONSOLE:
        done = shop.run(*shlex.split(command))
        assert same(done.screen) == same(shown), command


@pytest.mark.parametrize("command", [each for each in blocks()[1:] if not each.startswith("simulate")])
def test_the_other_commands_succeed(shop: RunningProduct, command: str) -> None:
    assert shop.run(*shlex.split(command)).code == 0


def test_the_simulation_succeeds(tmp_path: Path) -> None:
    command = next(each for each in blocks() if each.startswith("simulate"))
    arguments = [word.replace("decisions.jsonl", str(tmp_path / "out.jsonl")) for word in shlex.split(command)]
    absolute = [str(ROOT / word) if word.startswith("examples/") else word for word in arguments]
    done = run(*absolute)
    assert done.code == 0
    printed = [line.split() for line in done.out.splitlines()]
    shown = re.search(r"^campaign +outcome .*?(?=^```)", README, re.DOTALL | re.MULTILINE)
    assert shown is not None
    assert [line for line in shown[0].splitlines() if line.split() not in printed] == []


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_files_that_the_map_names_exist() -> None:
    """ARCHITECTURE.md names files from the root or below the orchestrator; `<id>` and `<service>` stand for any."""
    named = set(re.findall(r"`([\w./<>*]+/[\w<>*]+\.(?:py|md))`", (ROOT / "ARCHITECTURE.md").read_text("utf-8")))
    patterns = {name: re.sub(r"<\w+>", "*", name) for name in named if "test_<id>" not in name}
    homes = (ROOT, ROOT / "services" / "orchestrator")
    assert len(patterns) > 20
    assert [name for name, pattern in patterns.items() if not any([*home.glob(pattern)] for home in homes)] == []

"""`tactful campaigns shadow`, `tactful policy shadow`: the commands of docs/shadow.md, in their order."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import EXAMPLES, NOON, ROOT, CommandResult, RunningProduct, fill, product

pytestmark = pytest.mark.wired

PAGE = (ROOT / "docs/shadow.md").read_text("utf-8")
COMMANDS = [
    line.removeprefix("tactful ")
    for body in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in body.splitlines()
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """A server of its own, because the policy of the shared one must not change."""
    with product(tmp_path_factory.mktemp("shop") / "data", "--clock", NOON) as running:
        fill(running)
        yield running


def changed(source: Path, target: Path, before: str, after: str) -> None:
    text = source.read_text("utf-8")
    assert before in text
    target.write_text(text.replace(before, after), "utf-8")


def test_the_page_s_commands_lead_versions_through_their_shadow(shop: RunningProduct, tmp_path: Path) -> None:
    changed(EXAMPLES / "policy.yaml", tmp_path / "policy.yaml", "gap: 2h", "gap: 3h")
    changed(EXAMPLES / "campaigns/referral-ask.yaml", tmp_path / "campaign.yaml", "priority: 40", "priority: 41")
    done: dict[str, CommandResult] = {}
    for command in COMMANDS:
        if "--report" in command and not any("--report" in before for before in done):
            sent = shop.run("events", "send", "shop.order.delivered", "--customer", "bruno", "--set", "total=80")
            assert sent.code == 0, sent.err
        words = [str(tmp_path / word) if word.endswith(".yaml") else word for word in shlex.split(command)]
        done[command] = shop.run(*words)
        assert done[command].code == 0, done[command].screen
    assert "Next: tactful policy shadow 2 --report" in done["policy shadow 2"].err
    told = done["policy shadow 2 --report"]
    assert re.search(r"policy version 2: shadow, \d+ decisions, \d+ of \d+ agree \(100.0%\)", told.err)
    assert told.out.split()[:5] == ["campaign", "shadow", "reason", "live", "count"]
    found = done["campaigns shadow referral-ask --report -o json"].data
    assert (found["version"], found["status"], found["agreement"]) == (2, "shadow", 1.0)
    assert {item["shadow"]["version"] for item in found["items"]} == {2}
    assert "2 active" in done["campaigns activate referral-ask"].out
    assert "draft" in done["policy reject 2"].out


def test_apply_leaves_a_version_in_shadow_alone(shop: RunningProduct, tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    changed(EXAMPLES / "campaigns/product-news.yaml", path, "priority:", "priority: 3 #")
    for arguments in (("apply", path), ("approve", "product-news"), ("shadow", "product-news")):
        assert shop.run("campaigns", *arguments).code == 0
    again = shop.run("campaigns", "apply", path)
    assert (again.code, "unchanged, shadow" in again.err) == (0, True)
    assert shop.run("campaigns", "reject", "product-news").code == 0


def test_what_was_never_in_shadow_is_not_found(shop: RunningProduct) -> None:
    done = shop.run("campaigns", "shadow", "order-shipped", "--report")
    assert (done.code, done.out) == (3, "")

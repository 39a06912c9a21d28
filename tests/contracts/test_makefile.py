"""The Makefile explains itself, and its targets are those that people are told of."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROMISED = {"help", "setup", "run", "test", "check", "kafka", "schemas", "clean"}


def targets() -> set[str]:
    found = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert found is not None
    return set(found.group(1).split())


def test_every_target_says_what_it_does() -> None:
    assert {name for name in targets() if re.search(rf"^{name}:.*## \S", MAKEFILE, re.MULTILINE)} == targets()


def test_the_promised_targets_are_there() -> None:
    assert targets() >= PROMISED


def test_all_tests_are_given_to_workers_in_the_order_of_the_conftest() -> None:
    """xdist would begin with the largest groups: not those that wait longest."""
    assert "pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)" in MAKEFILE


def test_documents_name_targets_that_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / ".ci" / "run"]
    named = {word for page in pages for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.M)}
    assert named <= targets()

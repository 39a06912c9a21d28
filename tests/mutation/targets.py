"""What is changed, and which tests are asked in turn whether they notice: the mirrored ones first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DECIDING = "services/orchestrator/policy"
GATE = "services/orchestrator/delivery/delivery.py"
FIRST = ("gate", "decide", "plan", "caps", "contacts", "judge", "rules/", "ledger", "rank", "quiet", "match", "facts")
LAST = ("simulate",)
ASKED_BY_ALL = (
    ("tests/orchestrator/policy", "tests/contracts/test_rules.py", "-m", "not hypothesis"),
    ("tests/flow/test_conformance.py",),
    ("tests/model/test_agreement.py",),
)
ASKED_BY_THE_GATE = (
    ("tests/orchestrator/delivery/test_delivery.py",),
    ("tests/flow/test_delivery.py", "-k", "gate_stops or paused_campaign"),
)


@dataclass(frozen=True)
class Target:
    """A source file, and the stages of tests that are run one after the other until one fails."""

    path: Path
    module: str
    stages: tuple[tuple[str, ...], ...]


def target(path: Path, stages: Sequence[Sequence[str]]) -> Target:
    """The file as it is imported, from a path below the root."""
    parts = path.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Target(path, module, tuple(tuple(stage) for stage in stages))


def targets(root: Path) -> list[Target]:
    """All that is changed, the most important first."""
    files = sorted((path.relative_to(root) for path in (root / DECIDING).rglob("*.py")), key=_importance)
    found = [target(path, (*_mirrored(root, path), *ASKED_BY_ALL)) for path in files]
    return [target(Path(GATE), ASKED_BY_THE_GATE), *found]


def _importance(path: Path) -> tuple[int, str]:
    name = path.relative_to(DECIDING).as_posix()
    for place, start in enumerate(FIRST):
        if name.startswith(start):
            return place, name
    return len(FIRST) + name.startswith(LAST), name


def _mirrored(root: Path, path: Path) -> tuple[tuple[str], ...]:
    test = Path("tests", *path.parts[1:-1], f"test_{path.name}")
    return ((test.as_posix(),),) if (root / test).exists() else ()

"""The files that the mutation run changes, and the tests that it runs for each, in stages: the mirrored file first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLICY = "services/orchestrator/policy"
RECHECK = "services/orchestrator/delivery/delivery.py"
POLICY_STAGES = (
    ("tests/orchestrator/policy", "tests/contracts/test_rules.py", "-m", "not hypothesis"),
    ("tests/flow/test_conformance.py",),
    ("tests/model/test_agreement.py",),
)
RECHECK_STAGES = (
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
    """All files that can be changed, the recheck first."""
    files = sorted(path.relative_to(root) for path in (root / POLICY).rglob("*.py"))
    found = [target(path, (*_mirrored(root, path), *POLICY_STAGES)) for path in files]
    return [target(Path(RECHECK), RECHECK_STAGES), *found]


def _mirrored(root: Path, path: Path) -> tuple[tuple[str], ...]:
    test = Path("tests", *path.parts[1:-1], f"test_{path.name}")
    return ((test.as_posix(),),) if (root / test).exists() else ()

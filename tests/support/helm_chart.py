"""The chart, rendered: by helm where it is installed, and as the golden files that are in the repository.

`python -m tests.support.helm_chart` writes the golden files anew; it needs helm, on the PATH or as .tools/helm/helm.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.servers import ROOT

CHART = ROOT / "deploy/helm/tactful"
GOLDEN = ROOT / "tests/deploy/golden_charts"
DIGEST = GOLDEN / "chart.sha256"
"""The digest of the chart that the golden files were made of."""
INSTALLATIONS = ("small", "production")
"""Of each there is a file of values beside the chart, and a golden file."""
KUBERNETES = "1.30.0"
"""The version that helm renders for."""


def helm_program() -> str | None:
    """The path of helm; None if it is not installed."""
    own = ROOT / ".tools/helm/helm"
    return str(own) if own.exists() else shutil.which("helm")


def values_file(installation: str) -> Path:
    """The values of an installation."""
    return CHART / f"values-{installation}.yaml"


def run_helm(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it; the caller looks at its exit code."""
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)


def render(program: str, installation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with the values of an installation."""
    values = ("--kube-version", KUBERNETES, "-f", values_file(installation))
    return run_helm(program, "template", "tactful", CHART, "--namespace", "tactful", *values, *arguments)


@cache
def golden(installation: str) -> tuple[dict[str, Any], ...]:
    """The manifests of an installation, from its golden file."""
    return manifests_in(golden_file(installation).read_text("utf-8"))


def golden_file(installation: str) -> Path:
    """Where what the chart makes of an installation is kept."""
    return GOLDEN / f"{installation}.yaml"


def manifests_in(text: str) -> tuple[dict[str, Any], ...]:
    """The manifests of a rendered chart."""
    return tuple(manifest for manifest in yaml.safe_load_all(text) if manifest)


def chart_digest() -> str:
    """Of all files that helm reads: whether the golden files are those of this chart can be told without helm."""
    digest = hashlib.sha256()
    for path in sorted(each for each in CHART.rglob("*") if each.is_file() and each.suffix != ".md"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(CHART)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def main() -> int:
    """Write the golden files; 1 if helm is missing or refuses the chart."""
    program = helm_program()
    if program is None:
        print("helm is not installed: docs/kubernetes.md says how it is built.", file=sys.stderr)
        return 1
    GOLDEN.mkdir(exist_ok=True)
    for installation in INSTALLATIONS:
        done = render(program, installation)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        golden_file(installation).write_text(done.stdout, "utf-8")
    DIGEST.write_text(f"{chart_digest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

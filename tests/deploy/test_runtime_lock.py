"""requirements.lock is what the image installs: enough to import and start everything, and nothing of development.

Instead of a new installation from the network, Python runs without this environment's packages, and gets back those
that the lock names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import partial
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from tests.support import servers

pytestmark = pytest.mark.wired
RUNTIME, DEVELOPMENT = servers.ROOT / "requirements.lock", servers.ROOT / "requirements-dev.lock"
IMPORT_ALL = """
import importlib, pkgutil, sys
for package in ("schemas", "services", "tactful"):
    for module in pkgutil.walk_packages([package], f"{package}."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
assert "pytest" not in sys.modules and len(sys.modules) > 500
"""


def locked(file: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Name -> version and hashes."""
    found = {}
    for block in re.split(r"\n(?=\S)", file.read_text("utf-8")):
        if match := re.match(r"([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", block):
            found[match[1]] = (match[2], frozenset(re.findall(r"sha256:\w+", block)))
    return found


def test_both_locks_agree_by_hash_and_the_image_gets_no_tools() -> None:
    runtime, development = locked(RUNTIME), locked(DEVELOPMENT)
    assert {name: development.get(name) for name in runtime} == runtime
    assert all(hashes for _, hashes in development.values())
    project = tomllib.loads((servers.ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = {re.split(r"[\[<>=;]", each)[0].lower() for each in project["project"]["dependencies"]}
    tools = {re.split(r"[\[<>=;]", each)[0].lower() for each in project["dependency-groups"]["dev"]}
    assert wanted <= runtime.keys() and tools <= development.keys()
    assert not tools & runtime.keys()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has the packages of the lock, and no others."""
    site = tmp_path_factory.mktemp("site")
    for name in locked(RUNTIME):
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue  # for another platform or version of Python
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TACTFUL_", "PYTHON"))}
    return {**plain, "PYTHONPATH": f"{site}{os.pathsep}{servers.ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def python() -> list[str]:
    """The interpreter of this environment, without the environment: -S leaves its packages out."""
    return [getattr(sys, "_base_executable", sys.executable), "-S"]


def test_every_module_can_be_imported(bare: dict[str, str]) -> None:
    done = subprocess.run([*python(), "-c", IMPORT_ALL], env=bare, cwd=servers.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    without = subprocess.run([*python(), "-c", "import pytest"], env=bare, capture_output=True, text=True)
    assert "No module named 'pytest'" in without.stderr


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_every_service_starts(bare: dict[str, str], kafka_bootstrap: str, tmp_path: Path) -> None:
    ports = {name: servers.free_port() for name in ("orchestrator", "preference", "suppression")}
    urls = {f"TACTFUL_SERVICES__{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()}
    processes = {}
    for name, port in ports.items():
        variables = {
            **bare,
            **urls,
            "TACTFUL_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / name}.db",
            "TACTFUL_KAFKA__BOOTSTRAP": kafka_bootstrap,
            "TACTFUL_KAFKA__EVENTS_TOPIC": "runtime.lock",
            "TACTFUL_DATA_DIR": str(tmp_path),
            "TACTFUL_WEB__PUBLIC_URL": "https://tactful.example",
            "TACTFUL_ADMIN_KEY": "an-admin-key-of-the-tests",
            "TACTFUL_SERVICE_KEY": "a-service-key-of-the-tests",
            "TACTFUL_ADDRESS_KEY": "an-address-key-of-the-tests",
        }
        command = [*python(), "-m", f"services.{name}", "--port", str(port)]
        with (tmp_path / f"{name}.log").open("wb") as log:
            processes[name] = subprocess.Popen(command, env=variables, cwd=servers.ROOT, stdout=log, stderr=log)
    try:
        for name, port in ports.items():
            servers.wait_until_started(name, processes[name], partial(is_ready, port), tmp_path / f"{name}.log", 120)
        checked = [*python(), "-m", "services.kit.runtime.health_check"]
        for port, code in ((ports["preference"], 0), (servers.free_port(), 1)):
            assert subprocess.run([*checked, str(port)], env=bare, cwd=servers.ROOT).returncode == code
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False

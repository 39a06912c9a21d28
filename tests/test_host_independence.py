"""Equal input gives equal bytes, whatever the host's time zone, locale, zone files, hash seed or order of folders."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("schemas", "services", "tactful")
EXAMPLES = ROOT / "examples"
NO_UTF8 = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HOSTS: dict[str, dict[str, str]] = {
    "a German host on an island, without zone files": {
        "TZ": "Pacific/Kiritimati", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "PYTHONTZPATH": "",
        "PYTHONHASHSEED": "1",
    },
    "a host in Newfoundland, without a locale": {
        "TZ": "America/St_Johns", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "2", **NO_UTF8,
    },
}  # fmt: skip


def simulated(host: str, folder: Path) -> Mapping[str, bytes]:
    """What `tactful simulate` writes and prints for the examples on a host."""
    out = folder / "out.jsonl"
    command = [sys.executable, "-m", "tactful", "simulate", "--trace", "full", "--until", "2027-01-01T00:00:00Z"]
    for option in ("campaigns", "policy.yaml", "events.jsonl", "suppressions.jsonl"):
        command += [f"--{option.partition('.')[0]}", str(EXAMPLES / option)]
    command += ["--preferences", str(EXAMPLES / "customers.jsonl"), "--out", str(out), "--output", "json"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PYTHONTZPATH"))}
    ran = subprocess.run(command, env=clean | HOSTS.get(host, {}), capture_output=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr.decode()
    return {"decisions": out.read_bytes(), "printed": ran.stdout}


@pytest.mark.wired
def test_a_simulation_gives_the_same_bytes_on_every_host(tmp_path: Path) -> None:
    here = simulated("here", tmp_path)
    assert here["decisions"].count(b"\n") > 20
    for host in HOSTS:
        assert simulated(host, tmp_path) == here, host


@pytest.mark.parametrize("host", HOSTS)
def test_the_command_line_prints_utf_8_on_every_host(host: str) -> None:
    code = (
        "import sys; from tactful.__main__ import main; main(['--help']);"
        "from tactful.output import print_data, print_message, OutputFormat;"
        "print_data({'name': 'Zo\\xeb \\u2192'}, OutputFormat.JSON); print_message('\\u2192')"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    ran = subprocess.run([sys.executable, "-c", code], env=clean | HOSTS[host], capture_output=True, check=True)
    assert "Zoë →".encode() in ran.stdout
    assert "→".encode() in ran.stderr


TEXT_FILES = {"open": 3, "fdopen": 3, "read_text": 0, "write_text": 1}
"""Functions that decode or encode by the locale unless they are given an encoding, and its position."""


@pytest.mark.parametrize("package", PRODUCT)
def test_files_are_read_and_written_with_a_named_encoding(package: str) -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in (ROOT / package).rglob("*.py") for line in guesses(path)]
    assert found == []


def guesses(path: Path) -> Iterator[int]:
    """The lines that open a text without saying how it is encoded."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name not in TEXT_FILES or "encoding" in {keyword.arg for keyword in node.keywords}:
            continue
        texts = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        if name in ("open", "fdopen"):
            opens_a_file = not node.args or any(set(text) <= set("rwaxbt+") for text in texts)
            if opens_a_file and not any("b" in text for text in texts):
                yield node.lineno
        elif len(node.args) <= TEXT_FILES[name]:
            yield node.lineno

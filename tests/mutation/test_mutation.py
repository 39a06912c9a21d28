"""The runner of the mutation run itself, on one tiny file."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.changes import changes

ROOT = Path(__file__).parents[2]
TINY = '''
"""A docstring is not changed."""


def smaller(a: int, b: int = 0) -> bool:
    """Nor is this."""
    if a is None:
        raise ValueError("nor the text of an error")
    return a < b
'''
TEST = """
from tiny import smaller


def test_the_smaller_one():
    assert smaller(1, 2) and not smaller(3, 2)
    assert smaller(-1) and not smaller(1)
"""


def names(source: str) -> list[str]:
    return [change.name for change in changes(ast.parse(source))]


def test_an_obvious_mutant_is_killed_and_one_that_no_test_notices_is_told(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY, "utf-8")
    (tmp_path / "test_tiny.py").write_text(TEST, "utf-8")
    command = [sys.executable, "-m", "tests.mutation", "--verbose", "--tests", "test_tiny.py", "--", "tiny.py"]
    ran = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert "smaller: return a < b -> return None: test_tiny.py::test_the_smaller_one" in ran.stdout, ran.stderr
    assert "smaller: if a is None: -> if True:: test_tiny.py::test_the_smaller_one" in ran.stdout
    assert "survived: smaller: a < b -> a <= b" in ran.stdout
    assert ran.stdout.endswith("tiny.py: 6 mutants, 2 killed, 4 survived\n")
    assert ran.returncode == 0
    assert (tmp_path / "tiny.py").read_text("utf-8") == TINY


def test_only_what_behaves_is_changed() -> None:
    assert names(TINY) == [
        "smaller: 0 -> 1",
        "smaller: if a is None: -> if True:",
        "smaller: if a is None: -> if False:",
        "smaller: raise ValueError('nor the text of an error') -> pass",
        "smaller: return a < b -> return None",
        "smaller: a < b -> a <= b",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("x = f(1, y)", ["f(1, y) -> f(y, 1)", "1 -> 2", "1 -> 0"]),
        ("x = f(k=y)", ["f(k=y) -> f()"]),
        ("x = min(a, b)", ["min(a, b) -> max(a, b)"]),
        ("x = a if b else c", ["a if b else c -> a", "a if b else c -> c"]),
        ("x = [a for a in b if c]", ["for a in b if c -> for a in b"]),
        ("f()\nx: Literal['a'] = y", ["f() -> pass"]),
        ("x = 1\nx = y", ["1 -> 2", "1 -> 0", "x = y -> pass"]),
    ],
)
def test_operators(source: str, expected: list[str]) -> None:
    assert names(source) == [f"module: {name}" for name in expected]

"""The shape of the code: import contracts, unique names, the size of files and functions.

The import contracts are in pyproject.toml, checked by import-linter. What breaks a rule for a reason is listed there or
below, with the reason.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "services", "tactful", "tests")
PRODUCT = ("schemas", "services", "tactful")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 500, 60
MOST_REPEATED_FUNCTION_NAMES = 5

LONG_FILES: frozenset[str] = frozenset()
LONG_FUNCTIONS = frozenset(
    {
        "tests.support.orchestrator_app.world",  # wires a whole service for tests
    }
)
SAME_CLASSES: frozenset[str] = frozenset()
"""Class names that several modules may use, because they mean the same."""
PROTOCOL_FUNCTIONS = frozenset(
    {
        "commit",  # of a DB-API connection
        *("evaluate", "_explain", "_explain_allow", "_explain_failure", "_remedies", "_allow"),  # a policy rule
        *("compile_templates", "measure", "render", "summarise", "validate_content"),  # a channel
        *("create_adapter", "send_batch", "read_receipts"),  # an adapter
        *("before", "after"),  # a guard of first bytes
        *("_list_settings", "_read_submission", "_accept", "_write_receipt"),  # a provider of the lab
        *("read_row", "find_waiting"),  # a kind of import
        *("close", "start", "stop"),  # whatever has a lifetime
        "main",  # a process
    }
)
"""Function names of shared protocols: every implementation has them."""


@cache
def sources() -> Mapping[str, Path]:
    """All our modules by name."""
    modules = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def definitions(*kinds: type[ast.AST]) -> Mapping[str, set[str]]:
    """The modules of the product in which each name is defined, migrations apart."""
    modules = defaultdict[str, set[str]](set)
    for module, path in sources().items():
        if module.startswith(PRODUCT) and ".migrations." not in module:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, kinds):
                    modules[getattr(node, "name", "")].add(module)
    return modules


def test_imports_keep_the_contracts() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    if not tool.exists():
        pytest.skip("import-linter is not installed: `make setup`")
    checked = subprocess.run([tool, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 0, checked.stdout


def test_class_names_are_unique() -> None:
    repeated = {name: sorted(modules) for name, modules in definitions(ast.ClassDef).items() if len(modules) > 1}
    assert {name: modules for name, modules in repeated.items() if name not in SAME_CLASSES} == {}


def test_few_function_names_are_used_all_over() -> None:
    repeated = {
        name: len(modules)
        for name, modules in definitions(ast.FunctionDef, ast.AsyncFunctionDef).items()
        if len(modules) >= 5 and not name.startswith("__") and name not in PROTOCOL_FUNCTIONS
    }
    assert len(repeated) <= MOST_REPEATED_FUNCTION_NAMES, repeated


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources().values()}
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} <= LONG_FILES


def test_functions_are_short() -> None:
    long = {
        f"{module}.{node.name}"
        for module, path in sources().items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, FUNCTION) and own_lines(node) > MOST_LINES_OF_A_FUNCTION
    }
    assert long - LONG_FUNCTIONS == set()


def own_lines(function: ast.AST) -> int:
    """The lines of a function without those of the functions inside it, which count by themselves."""
    inner = [node for child in ast.iter_child_nodes(function) for node in outermost(child)]
    return lines(function) - sum(map(lines, inner))


def outermost(node: ast.AST) -> Iterator[ast.AST]:
    """The functions in a piece of code that are in no other function of it."""
    if isinstance(node, FUNCTION):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from outermost(child)


def lines(node: ast.AST) -> int:
    """How many lines a piece of code has."""
    assert isinstance(node, FUNCTION) and node.end_lineno is not None
    return node.end_lineno - node.lineno + 1

"""The shape of the code: who may import whom, what deciding may not touch, how long files and functions may be.

A rule that is broken for a reason is named in a list below, in sight of everybody.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "services", "tactful", "tests")
SERVICES = ("orchestrator", "preference", "suppression")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 500, 60
LIBRARIES = ("services.condition", "services.template")
"""Our own libraries: they use `schemas` and the kit's error tree alone."""

LONG_FILES: frozenset[str] = frozenset()
LONG_FUNCTIONS = frozenset(
    {
        "tests.support.orchestrator_app.world",  # wires a whole service for tests
    }
)

WIRING = ("services.development", "services.deployment_settings")
"""Put the services together in one process, with the demo, so they may import all of them."""
ENTRY_POINTS = tuple(f"services.{service}.__main__" for service in SERVICES)
"""They validate the settings of the whole deployment, which every process may be given."""
SHARED_CORES = {
    "services.simulation": (
        "services.orchestrator.policy",
        "services.orchestrator.campaigns.conditions",
        "services.orchestrator.decisions.reported_contact",
        "services.preference.preference_state",
        "services.suppression.customer_state",
        "services.suppression.situation_intervals",
    ),
}
"""Pure modules of the services, shared so that nothing is implemented twice (docs/decisions/0006)."""
SCHEMAS_MAY_USE = frozenset({"pydantic", "msgspec", "yaml", "schemas"})
OUTSIDE_WORLD = frozenset(
    {"aiohttp", "aiokafka", "aiosqlite", "asyncio", "asyncpg", "fastapi", "httpx", "logging", "multiprocessing", "os"}
    | {"random", "requests", "secrets", "select", "selectors", "signal", "socket", "sqlalchemy", "sqlite3", "ssl"}
    | {"starlette", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid", "uvicorn"}
)
"""What a pure module does not import: I/O, clocks, chance, the environment."""


@cache
def sources() -> Mapping[str, Path]:
    """All our modules by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that a module of ours imports, wherever in it; `from a import b` is `a.b` where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(sources()[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            base = node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.add(name if name in sources() else base)
    return frozenset(found)


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of these, or inside one of them."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def ours(package: str) -> Iterator[tuple[str, str]]:
    """(module, what it imports) for the imports of our own modules in a package."""
    for module in sources():
        if within(module, package):
            yield from ((module, name) for name in sorted(imports(module)) if within(name, *PACKAGES))


def reached(start: str) -> Iterator[tuple[str, str]]:
    """(module of ours, what it imports) for everything that is loaded with `start`."""
    waiting, seen = [start], {start}
    while waiting:
        module = waiting.pop()
        for name in imports(module):
            yield module, name
            if name in sources() and name not in seen:
                seen.add(name)
                waiting.append(name)


def test_schemas_stand_alone() -> None:
    """Contracts import no service, and of libraries only those that give forms."""
    wrong = [
        f"{module} imports {name}"
        for module in sources()
        if within(module, "schemas")
        for name in imports(module)
        if (top := name.partition(".")[0]) not in SCHEMAS_MAY_USE and top not in sys.stdlib_module_names
    ]
    assert wrong == []


def test_the_kit_knows_no_service() -> None:
    assert [f"{a} imports {b}" for a, b in ours("services.kit") if not within(b, "schemas", "services.kit")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_others_by_their_client_alone(service: str) -> None:
    own = f"services.{service}"
    shared = ("services.kit", "services.clients", *LIBRARIES)
    wrong = [
        f"{a} imports {b}"
        for a, b in ours(own)
        if not within(b, "schemas", own, *shared)
        and (a, b) not in {(e, "services.deployment_settings") for e in ENTRY_POINTS}
    ]
    assert wrong == []


def test_only_wiring_puts_services_together() -> None:
    alone = ("services.kit", "services.clients", *LIBRARIES, *(f"services.{service}" for service in SERVICES))
    together = [name for name in sources() if name.startswith("services.") and not within(name, *alone)]
    assert [name for name in together if not within(name, *SHARED_CORES, *WIRING)] == []


@pytest.mark.parametrize("module", SHARED_CORES)
def test_simulation_uses_pure_modules_of_the_services_alone(module: str) -> None:
    allowed = ("schemas", "services.kit", *LIBRARIES, module, *SHARED_CORES[module])
    assert [name for _, name in ours(module) if not within(name, *allowed)] == []


def test_the_command_line_talks_to_the_product_or_to_pure_functions() -> None:
    allowed = ("tactful", "schemas", "services.kit", "services.simulation", *LIBRARIES, *WIRING)
    assert [f"{a} imports {b}" for a, b in ours("tactful") if not within(b, *allowed)] == []


def test_nothing_imports_tests_or_the_command_line() -> None:
    wrong = [f"{a} imports {b}" for package in ("schemas", "services") for a, b in ours(package)]
    assert [line for line in wrong if within(line.rpartition(" ")[2], "tests", "tactful")] == []


def test_deciding_imports_schemas_and_itself_alone() -> None:
    own = "services.orchestrator.policy"
    assert [f"{a} imports {b}" for a, b in ours(own) if not within(b, "schemas", own)] == []


@pytest.mark.parametrize("core", ["services.orchestrator.policy", *SHARED_CORES["services.simulation"]])
def test_a_pure_core_reaches_no_outside_world(core: str) -> None:
    modules = [module for module in sources() if within(module, core)]
    assert modules, f"{core} does not exist"
    wrong = {
        f"{module} imports {name} (reached from {start})"
        for start in modules
        for module, name in reached(start)
        if within(name, *OUTSIDE_WORLD)
    }
    assert wrong == set()


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

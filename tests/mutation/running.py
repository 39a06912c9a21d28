"""Runs tests against one changed module, each time in a forked process that has imported none of our modules yet.

What does not change (the libraries, `schemas`, `services.kit`) is imported once, before the forks. A change is made
while its module is imported, so whatever is built at import is built by the changed code; no file is written.
"""

import ast
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import pkgutil
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import hypothesis
import pytest

from tests.mutation.changes import Change
from tests.mutation.targets import Target

UNCHANGED = ("schemas", "services.kit")
WORLDS = "20"
MOST_MEMORY = 4 << 30
MOST_PROCESSOR_SECONDS = 25
MOST_SECONDS = 3600
PYTEST = ("-q", "-x", "-c", os.devnull, "--import-mode=importlib", "--noconftest", "--tb=no", "-p", "no:cacheprovider")
PLUGINS = ("-p", "_hypothesis_pytestplugin", "-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto")


class Outcome(NamedTuple):
    """What became of a change: `by` is the test that noticed it, or None when none did."""

    change: Change
    by: str | None


def prepare(packages: Sequence[str] = UNCHANGED) -> None:
    """Import what no change touches, and let hypothesis try the same examples every time, without shrinking."""
    os.environ.update(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", MODEL_EXAMPLES=WORLDS)
    for name in packages:
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", deadline=None, derandomize=True, database=None, phases=phases, max_examples=40
    )
    hypothesis.settings.load_profile("mutants")
    gc.collect()
    gc.freeze()  # else each process copies all of it when it first looks for garbage


def outcomes(root: Path, target: Target, tree: ast.Module, changes: Iterable[Change], jobs: int) -> Iterator[Outcome]:
    """What becomes of each change, as it is known. Raises RuntimeError when the tests fail without any."""
    if (by := _one(lambda: _noticed(root, target, None))) is not None:
        raise RuntimeError(f"{by} fails without any change: mend it first")
    running: dict[int, tuple[Change, int]] = {}
    for change in changes:
        if len(running) >= jobs:
            yield _ended(running)

        def tried(change: Change = change) -> str | None:
            change.apply()
            return _noticed(root, target, compile(ast.fix_missing_locations(tree), str(target.path), "exec"))

        pid, answer = _forked(tried)
        running[pid] = change, answer
    while running:
        yield _ended(running)


def _one(work: Callable[[], str | None]) -> str | None:
    pid, answer = _forked(work)
    return _answer(answer, os.waitpid(pid, 0)[1])


def _ended(running: dict[int, tuple[Change, int]]) -> Outcome:
    pid, status = os.wait()
    change, answer = running.pop(pid)
    return Outcome(change, _answer(answer, status))


def _answer(pipe: int, status: int) -> str | None:
    with os.fdopen(pipe, "rb") as file:
        told = file.read()
    if status == 0 and told:
        by: str | None = json.loads(told)
        return by
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL):
        return "the time limit"
    return f"the end of the process ({status})"


def _forked(work: Callable[[], str | None]) -> tuple[int, int]:
    """A process that answers, as JSON, through the pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os.write(writing, json.dumps(work()).encode())
    finally:
        os._exit(0)
    raise AssertionError("unreachable")


def _noticed(root: Path, target: Target, code: object) -> str | None:
    """The first test that fails, stage by stage."""
    signal.alarm(MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_PROCESSOR_SECONDS, MOST_PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    if code is not None:
        sys.meta_path.insert(0, _Changed(target.module, root / target.path, code))
    for stage in target.stages:
        first = _First()
        ended = pytest.main([*PYTEST, *PLUGINS, "--hypothesis-seed=0", "--rootdir", str(root), *stage], [first])
        if ended:
            return first.name or f"pytest ({ended})"
    return None


class _First:
    """Remembers the first test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from code at hand."""

    def __init__(self, module: str, path: Path, code: object) -> None:
        self._module = module
        self._path = path
        self._code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        inside = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=self, submodule_search_locations=inside
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # type: ignore[arg-type]

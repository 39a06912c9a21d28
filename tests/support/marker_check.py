"""Pytest plugin: a test that opens a database or starts a server must carry one of the markers in MARKERS.

The fast tier leaves out the tests with these markers. The plugin watches the interpreter's audit events, so a test
declares nothing but its marker. A fixture of a wider scope opens its database only once; every test that uses such a
fixture needs a marker too. A test without one gets an error at its end that names what was started.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

MARKERS = ("wired", "integration", "faults")
PROGRAMS = ("initdb", "pg_ctl", "run.sh", "prometheus", "chromium")
PARAMETERS = "_pytest.python"
"""The module that makes fixtures of the parameters of tests."""
MODULES = ("services.", "tactful", "tests.support.")


def started_by(event: str, arguments: Sequence[Any]) -> str | None:
    """The database or server that an audit event of the interpreter starts, if it starts one."""
    if event == "sqlite3.connect":
        return f"database {arguments[0]!s}"
    if event != "subprocess.Popen":
        return None
    command = arguments[1]
    words = [str(word) for word in command] if isinstance(command, (list, tuple)) else str(command).split()
    modules = [word for before, word in itertools.pairwise(words) if before == "-m"]
    if any(module.startswith(MODULES) for module in modules):
        return f"process {' '.join(words)}"
    if any(word.rpartition("/")[2] in PROGRAMS for word in words):
        return f"server {' '.join(words)}"
    return None


class MarkerCheck:
    """Keeps what the running test, or the fixture that is being set up, has started."""

    def __init__(self) -> None:
        self._started: list[str] = []
        self._fixtures: dict[tuple[str, str], str] = {}
        """(directory or file that defines a fixture, its name) -> what its setup started."""
        sys.addaudithook(self._notice)

    def _notice(self, event: str, arguments: Sequence[Any]) -> None:
        if event in ("sqlite3.connect", "subprocess.Popen"):
            started = started_by(event, arguments)
            if started is not None:
                self._started.append(started)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Remember which fixtures start something."""
        before = len(self._started)
        result = yield
        # One of function scope starts it anew for each test, which is noticed then; it may start a server for some of
        # its parameters alone. A parameter of a test is a fixture, too, but starts nothing: a thread has, meanwhile.
        is_kept = fixturedef.scope != "function" and fixturedef.func.__module__ != PARAMETERS
        if len(self._started) > before and is_kept:
            self._fixtures[fixturedef.baseid, fixturedef.argname] = self._started[-1]
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Begin anew for each test."""
        self._started.clear()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Fail the test if it has started something and carries no marker.

        What the teardown itself starts does not count: in the last test of a session it stops servers of other tests.
        """
        started = [*self._started, *self._of_fixtures(item)]
        result = yield
        if any(item.get_closest_marker(name) for name in MARKERS):
            return result
        if started:
            wanted = " or ".join(MARKERS)
            pytest.fail(f"mark this test as {wanted}: it has started {started[0]}", pytrace=False)
        return result

    def _of_fixtures(self, item: pytest.Item) -> Iterator[str]:
        if not isinstance(item, pytest.Function):
            return
        for name, definitions in item._fixtureinfo.name2fixturedefs.items():
            for definition in definitions:
                if (definition.baseid, name) in self._fixtures:
                    yield self._fixtures[definition.baseid, name]


def pytest_configure(config: pytest.Config) -> None:
    """Register the check, once in each process."""
    config.pluginmanager.register(MarkerCheck(), "marker-check")

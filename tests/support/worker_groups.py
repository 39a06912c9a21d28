"""Pytest plugin: tests that share a server or an installation run in one worker of xdist, which starts it only once.

PostgreSQL starts in a second, so each worker has one, and tests that need nothing else run in any worker.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests that share something its group. One that carries `xdist_group` already keeps it."""
    for item in items:
        group = _shared_installation(item)
        if group is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


class OwnIds:
    """Reports a test by its own id: xdist appends `@group`, with which `--last-failed` would not find it again."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the group off."""
        if report.nodeid.rfind("@") > report.nodeid.rfind("]"):
            report.nodeid = report.nodeid.rpartition("@")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Workers report by the id that xdist has made; whoever gathers the reports changes it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(OwnIds())


def _turn(item: pytest.Item) -> int:
    """When a worker of xdist takes a test, 0 before 1.

    What kills processes waits longest, so it begins first; then the other groups, each of which only one worker can
    take. Thousands of short tests are left for the end, and keep all workers busy to it.
    """
    if item.get_closest_marker("faults") is not None:
        return 0
    return 1 if item.get_closest_marker("xdist_group") is not None else 2


def _shared_installation(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    shared = {
        name: definition.baseid
        for name, definitions in item._fixtureinfo.name2fixturedefs.items()
        for definition in definitions
        if definition.baseid and definition.scope != "function"
    }
    if "kafka_server" in shared:
        return "kafka"
    places = [place for name, place in shared.items() if name not in ("server_directory", "postgres_server")]
    # A test of several buses asks for the broker by its parameter: only its name tells.
    return places[0] if places else "kafka" if "kafka" in item.name else None

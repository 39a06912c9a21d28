"""The outages that are recorded: what is broken, which alert must fire, and what its runbook says to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.outages.watched_installation import WatchedInstallation

Act = Callable[[WatchedInstallation], None]


class Outage(NamedTuple):
    """One outage. `alert` must fire. `asked`: the process whose readiness is looked at, None where readiness does not
    change. `command`: one of the command line that the runbook names for diagnosis.
    """

    name: str
    broken: str
    alert: str
    begin: Act
    mended: str
    mend: Act
    asked: str | None = None
    command: tuple[str, ...] = ()


def _kill_broker(here: WatchedInstallation) -> None:
    here.broker.kill()


def _start_broker(here: WatchedInstallation) -> None:
    here.broker.start()


def _crash_database(here: WatchedInstallation) -> None:
    here.database.crash()


def _start_database(here: WatchedInstallation) -> None:
    here.database.start()


def _kill_provider(here: WatchedInstallation) -> None:
    here.cluster["sink"].kill()


def _start_provider(here: WatchedInstallation) -> None:
    here.cluster["sink"].start()


def _freeze_suppression(here: WatchedInstallation) -> None:
    here.cluster["suppression"].freeze()


def _restart_suppression(here: WatchedInstallation) -> None:
    here.cluster["suppression"].restart()


OUTAGES: Final = (
    Outage(
        "kafka",
        "the only broker is killed (`kill -9`)",
        "TactfulKafkaUnreachable",
        _kill_broker,
        "the broker is started again",
        _start_broker,
        asked="decide",
    ),
    Outage(
        "database",
        "PostgreSQL, which has the databases of all three services, is stopped at once (`pg_ctl stop -m immediate`)",
        "TactfulDatabaseUnreachable",
        _crash_database,
        "PostgreSQL is started again",
        _start_database,
        asked="api",
    ),
    Outage(
        "provider",
        "the provider of the channel push, the only one, is killed",
        "TactfulAdapterCircuitOpen",
        _kill_provider,
        "the provider is started again; the adapter tries it by itself",
        _start_provider,
        command=("adapters", "list"),
    ),
    Outage(
        "suppression",
        "the suppression service stands still (`kill -STOP`): it holds its port and answers nobody",
        "TactfulServiceUnreachable",
        _freeze_suppression,
        "the suppression service is killed and started again",
        _restart_suppression,
        asked="decide",
    ),
)

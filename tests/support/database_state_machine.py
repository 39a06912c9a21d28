"""Base of the stateful Hypothesis tests: one event loop and one schema for all examples of a test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from services.kit.db.database import Database
from tests.support.fresh_databases import migrate

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = 20
T = TypeVar("T")
_COUNT = itertools.count()


class DatabaseLoop:
    """A database and the loop that its connections belong to."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self._runner = runner
        self.database = database

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for the work."""
        return self._runner.run(work)


@contextmanager
def ground(url: str, package: str) -> Iterator[DatabaseLoop]:
    """The schema of a service, at work."""
    with asyncio.Runner() as runner:
        migrate(url, package)
        database = Database.open(url)
        try:
            yield DatabaseLoop(runner, database)
        finally:
            runner.run(database.close())


class Machine(RuleBasedStateMachine):
    """A state machine over a database, with two customers of its own for each example."""

    ground: DatabaseLoop

    def __init__(self) -> None:
        super().__init__()
        number = next(_COUNT)
        self.names = (f"c-{number}-a", f"c-{number}-b")


def run_machine(machine: type[Machine], here: DatabaseLoop) -> None:
    """Runs examples of a machine; the same ones each time unless `MODEL_EXAMPLES` asks for more."""
    chosen = settings(
        max_examples=EXAMPLES or 8,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(type(machine.__name__, (machine,), {"ground": here}), settings=chosen)

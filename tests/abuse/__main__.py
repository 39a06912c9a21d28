"""`make abuse`: the whole attack, for a minute, on `tactful dev`, then on the three services on PostgreSQL and Kafka.

`python -m tests.abuse dev` or `services` attacks one of them.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.abuse import inputs
from tests.abuse.attack import attack
from tests.abuse.targets import Target, development_target, services_target
from tests.support import servers
from tests.support.command_line import product
from tests.support.installation import world

SECONDS = 60.0


@contextlib.contextmanager
def development(folder: Path) -> Iterator[Target]:
    """A running `tactful dev`."""
    with product(folder / "data", "--no-demo") as running:
        yield development_target(running)


@contextlib.contextmanager
def services(folder: Path) -> Iterator[Target]:
    """The three services on servers of their own."""
    with servers.postgres(folder / "postgres") as database, servers.kafka(folder / "kafka") as broker:
        with world(database, broker.bootstrap, folder / "services", ("all",)) as installation:
            yield services_target(installation)


TARGETS = {"dev": development, "services": services}


def main(names: list[str]) -> int:
    """Returns 1 where the product did not hold what it promises."""
    requests = [*inputs.documents(), *inputs.texts(), *inputs.strangers(), *inputs.events()]
    faults = []
    for name in names or TARGETS:
        with tempfile.TemporaryDirectory(prefix="tactful-abuse-") as folder:
            Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
            with TARGETS[name](Path(folder)) as target:
                report = asyncio.run(attack(target, requests, SECONDS))
        print(f"-- {name}")
        for line in report.lines():
            print(line)
        faults += report.faults()
        for fault in report.faults()[:50]:
            print(f"FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

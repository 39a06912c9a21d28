"""`make abuse`: the whole attack, for a minute."""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.abuse import inputs
from tests.abuse.attack import attack
from tests.support.command_line import fill, product

SECONDS = 60.0


def main() -> int:
    """Returns 1 where the product did not hold what it promises."""
    requests = [*inputs.documents(), *inputs.texts(), *inputs.strangers(), *inputs.events()]
    with tempfile.TemporaryDirectory(prefix="tactful-abuse-") as folder:
        with product(Path(folder) / "data", "--no-demo") as running:
            fill(running)
            report = asyncio.run(attack(running, requests, SECONDS))
    for line in report.lines():
        print(line)
    for fault in report.faults()[:50]:
        print(f"FAULT {fault}")
    return 1 if report.faults() else 0


if __name__ == "__main__":
    sys.exit(main())

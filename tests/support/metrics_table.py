"""`python -m tests.support.metrics_table`: writes the table of docs/metrics.md from the metrics in the code."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from services.development.all_services import SERVICE_NAMES, AllServices
from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.observability.build_info import publish_build_info
from services.kit.observability.metrics import MetricFamily, Registry, log_counter
from services.kit.runtime.certificate_expiry import publish_certificate_expiry
from services.kit.runtime.clock import SystemClock
from tests.support.live_product import settings

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
HEAD = "| Name | Type | Labels | Help |"
MOST_VALUES = 20
"""Labels with more values than these are named without them."""


def registry(directory: Path) -> Registry:
    """The metrics of the embedded product, before anything has happened."""
    made = Registry()
    publish_build_info(made, *SERVICE_NAMES)
    log_counter(made)
    publish_certificate_expiry(made, {})
    databases = {name: Database.open(f"sqlite+aiosqlite:///{directory / name}.db") for name in SERVICE_NAMES}
    AllServices(settings(), databases, LocalBus(directory / "log.db"), SystemClock(), registry=made)
    return made


def rows(made: Registry) -> Iterator[str]:
    """One line for each metric of ours, in order of their names."""
    families = {name: family for name, family in made.families.items() if isinstance(family, MetricFamily)}
    for name, family in sorted(families.items()):
        metric = family.metric
        labels = ", ".join(
            _label(label, sorted(family._allowed_values[at])) for at, label in enumerate(family.label_names)
        )
        yield f"| `{name}` | {metric._type} | {labels or '-'} | {metric._documentation} |"


def _label(name: str, values: list[str]) -> str:
    written = "topic", "group", "version", "commit", "schema_revision"
    if len(values) > MOST_VALUES or name in written:
        return f"`{name}`"
    return f"`{name}` ({' '.join(values)})"


def page(made: Registry) -> str:
    """The page with a fresh table."""
    before, _, rest = PAGE.read_text("utf-8").partition(HEAD)
    after = "\n".join(line for line in rest.splitlines() if not line.startswith("|")).lstrip("\n")
    return f"{before}{HEAD}\n|---|---|---|---|\n" + "\n".join(rows(made)) + f"\n\n{after}".rstrip() + "\n"


def main() -> int:
    """Write the page."""
    with tempfile.TemporaryDirectory() as directory:
        PAGE.write_text(page(registry(Path(directory))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

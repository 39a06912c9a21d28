"""The labels of metrics, read from docs/metrics.md, and queries narrowed to what a reader has chosen.

A test keeps docs/metrics.md true, so a query about a metric that no process has cannot be written.
"""

import re
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/metrics.md"
EVERYWHERE = ("cluster", "namespace", "job")
"""Labels that Prometheus gives to all series of a target; installations without clusters have `job` alone."""
NARROWED = ("channel", "class")
"""Labels of our own that every dashboard has a variable for."""
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| ", re.MULTILINE)
_SELECTOR = re.compile(
    r"(?<![\w:$])(tactful_\w+|http_server_\w+|process_\w+|up)\b(?!\()(?:\{((?:[^{}\"]|\"[^\"]*\")*)\})?"
)
_OF_PROCESSES = ("up", *(f"process_{name}" for name in ("cpu_seconds_total", "open_fds", "max_fds")))
_MORE_OF_PROCESSES = ("process_resident_memory_bytes", "process_start_time_seconds")


class UnknownMetric(ValueError):
    """A query names a metric that docs/metrics.md does not have."""


@cache
def metric_labels() -> dict[str, frozenset[str]]:
    """Series -> its labels, those of Prometheus apart. Histograms have a series for each of their parts."""
    found: dict[str, frozenset[str]] = {name: frozenset() for name in (*_OF_PROCESSES, *_MORE_OF_PROCESSES)}
    for name, kind, cell in _ROW.findall(TABLE.read_text("utf-8")):
        labels = frozenset(re.findall(r"`(\w+)`", cell))
        if kind == "histogram":
            found |= {f"{name}_{part}": labels for part in ("bucket", "count", "sum")}
        else:
            found[name] = labels
    return found


def scope(expr: str, variables: Collection[str] = ()) -> str:
    """The query, of the chosen targets, channels and classes alone. `variables`: more labels that a reader chooses.

    Raises UnknownMetric.
    """

    def chosen(labels: Collection[str]) -> list[str]:
        own = [label for label in (*NARROWED, *variables) if label in labels]
        return [f'{label}=~"${label}"' for label in (*EVERYWHERE, *own)]

    return narrow(expr, chosen)


def narrow(expr: str, matchers_for: Callable[[Collection[str]], list[str]]) -> str:
    """The query with more matchers in each selector: those that the function has for a metric's labels.

    Raises UnknownMetric.
    """

    def add(match: re.Match[str]) -> str:
        name, matchers = match[1], match[2]
        if name not in metric_labels():
            raise UnknownMetric(f"{name} is not in {TABLE.name}: {expr}")
        wanted = [*([matchers] if matchers else []), *matchers_for(metric_labels()[name])]
        return f"{name}{{{', '.join(wanted)}}}" if wanted else name

    return _SELECTOR.sub(add, expr)

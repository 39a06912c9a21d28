"""Notes the names in a sample of what is evaluated: in memory, bounded, and without values."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

TRAITS: Final = "customer.traits"
MAX_SAMPLES: Final = 60  # of one source between two saves
MAX_SOURCES: Final = 500
MAX_NAMES: Final = 300  # of one source
MAX_DEPTH: Final = 4
_NAME: Final = re.compile(r"[A-Za-z_][\w\-]{0,63}")
"""What a name looks like. Keys that are data, such as addresses, are not noted."""


class NameSampler:
    """Counts names by source: an event type, or `customer.traits`. For one thread."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def wants(self, source: str) -> bool:
        """Whether another sample of the source is useful."""
        counts = self._counts.get(source)
        return len(self._counts) < MAX_SOURCES if counts is None else counts[""] < MAX_SAMPLES

    def observe(self, source: str, data: Mapping[str, Any]) -> None:
        """Counts the names in one sample, each once."""
        if not self.wants(source):
            return
        counts = self._counts.setdefault(source, Counter())
        counts[""] += 1
        for path in set(_paths(data, "", 1)):
            if path in counts or len(counts) <= MAX_NAMES:
                counts[path] += 1

    def take(self) -> dict[str, Counter[str]]:
        """Returns what was counted since the last call."""
        taken, self._counts = self._counts, {}
        return taken


def _paths(value: Any, parent: str, depth: int) -> Iterator[str]:
    """Yields the paths of all values that are there, such as `order.items.name`; null is not there."""
    if isinstance(value, list):
        for item in value[:20]:
            yield from _paths(item, parent, depth)
        return
    if not isinstance(value, Mapping) or depth > MAX_DEPTH:
        return
    for name, child in value.items():
        if child is not None and _NAME.fullmatch(name):
            path = f"{parent}.{name}" if parent else name
            yield path
            yield from _paths(child, path, depth + 1)

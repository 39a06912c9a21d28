"""Prometheus metrics with closed label sets: every series is read from the start, at zero; no other can appear.

A process declares some thousand series, and most are zero for its whole life. So a series becomes an object when it is
first set or when the registry is first read, and not when it is declared: a process that builds all of them at once
spends a quarter of its start on it.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

# A `_created` series beside each counter and histogram would be a third of all series, and no rule of ours reads one.
disable_created_metrics()  # type: ignore[no-untyped-call]

Child = TypeVar("Child", bound=MetricWrapperBase)
Labels = Mapping[str, Sequence[str]]
Combinations = Iterable[tuple[str, ...]]

METRIC_PREFIX = "tactful_"
FAST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: buckets for work that people or the log wait for."""
SLOW_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Seconds: buckets for what takes minutes and hours, such as messages that wait."""


class Registry(CollectorRegistry):
    """The metrics of one process. Two services in one process may share it: see `MetricFamily`."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        self.families: dict[str, object] = {}
        self.shared_values: dict[tuple[str, ...], dict[str, float]] = {}
        """For each gauge set by several parts of the process, the value of each part: see `SharedGauge`."""

    def collect(self) -> Iterator[Metric]:
        """Yields all metrics with all series that were declared, those that nobody has set at zero."""
        for family in tuple(self.families.values()):
            if isinstance(family, MetricFamily):
                family.create_declared()
        yield from super().collect()


class MetricFamily(Generic[Child]):
    """A metric with closed labels. `family("email", "send")` is the child for these values, in order.

    Declaring the same name again in one registry returns the same family, with the union of the label values.
    """

    def __init__(self, metric: Child, names: tuple[str, ...]) -> None:
        self.metric = metric
        self.label_names = names
        self._allowed_values: tuple[set[str], ...] = tuple(set() for _ in names)
        self._children: dict[tuple[str, ...], Child] = {}
        self._declared: dict[tuple[str, ...], None] = {}
        """Combinations, in their order, that nobody has set or read yet: they have no child."""
        self._lock = threading.RLock()
        """The registry is read in a thread: a series that is removed meanwhile must not come back. Reentrant, because
        collecting garbage may log a line, which is counted, at any place."""

    def __call__(self, *values: str) -> Child:
        """Returns the child for these label values. Raises ValueError for a value outside the closed set."""
        child = self._children.get(values)
        if child is not None:
            return child
        self._check_values(values)
        with self._lock:
            return self._create_child(values)

    def remove(self, *values: str) -> None:
        """Removes the series with these label values, because its value is unknown; a call brings it back."""
        with self._lock:
            self._declared.pop(values, None)
            if self._children.pop(values, None) is not None:
                self.metric.remove(*values)

    def labelled_child(self, **labels: str) -> Child:
        """Returns the child for these labels by name. Raises ValueError for a wrong name or value."""
        if len(labels) != len(self.label_names) or any(name not in labels for name in self.label_names):
            raise ValueError(f"the labels of this metric are {', '.join(self.label_names) or 'none'}")
        return self(*(labels[name] for name in self.label_names))

    def add_labels(self, labels: Labels, combinations: Combinations | None) -> None:
        """Adds label values, and declares the given combinations, which start at zero (all of these values if None)."""
        if tuple(labels) != self.label_names:
            raise ValueError(f"this metric has the labels {self.label_names}, not {tuple(labels)}")
        for known, values in zip(self._allowed_values, labels.values(), strict=True):
            known.update(map(str, values))
        if combinations is None:
            combinations = product(*labels.values())
        else:
            combinations = tuple(combinations)
            for each in combinations:
                self._check_values(each)
        with self._lock:
            self._declared.update((each, None) for each in combinations if each not in self._children)

    def create_declared(self) -> None:
        """Creates the children that were declared and that nobody has set, at zero."""
        with self._lock:
            for values in tuple(self._declared):
                self._create_child(values)

    def _check_values(self, values: tuple[str, ...]) -> None:
        if len(values) != len(self.label_names):
            raise ValueError(f"this metric needs values for {self.label_names}")
        for name, value, known in zip(self.label_names, values, self._allowed_values, strict=True):
            if value not in known:
                raise ValueError(f"{value[:60]!r} is not a value of the label {name}")

    def _create_child(self, values: tuple[str, ...]) -> Child:
        self._declared.pop(values, None)
        child = self.metric.labels(*values) if values else self.metric
        self._children[values] = child
        return child


class SharedGauge:
    """One part's value of a gauge that several parts of a process set, such as services in one process.

    The gauge shows the sum of all parts.
    """

    def __init__(
        self,
        registry: Registry,
        family: MetricFamily[Gauge],
        source: str,
    ) -> None:
        self._shared_values = registry.shared_values
        self._family = family
        self._source = source

    def set(self, value: float, *labels: str) -> None:
        """Sets this part's value for the child of these labels."""
        by_source = self._shared_values.setdefault((str(id(self._family)), *labels), {})
        by_source[self._source] = value
        self._family(*labels).set(math.fsum(by_source.values()))


def counter(
    registry: Registry, name: str, help: str, labels: Labels | None = None, *, combos: Combinations | None = None
) -> MetricFamily[Counter]:
    """Declares a counter; the name ends in `_total`."""
    return _get_family(
        registry, name, labels, combos, lambda full, names: Counter(full, help, names, registry=registry)
    )


def gauge(
    registry: Registry, name: str, help: str, labels: Labels | None = None, *, combos: Combinations | None = None
) -> MetricFamily[Gauge]:
    """Declares a gauge."""
    return _get_family(registry, name, labels, combos, lambda full, names: Gauge(full, help, names, registry=registry))


def histogram(
    registry: Registry,
    name: str,
    help: str,
    labels: Labels | None = None,
    *,
    buckets: Sequence[float] = FAST_BUCKETS,
    combos: Combinations | None = None,
) -> MetricFamily[Histogram]:
    """Declares a histogram, in base units (seconds, bytes)."""
    bounds = tuple(bound for bound in buckets if bound != math.inf)
    return _get_family(
        registry,
        name,
        labels,
        combos,
        lambda full, names: Histogram(full, help, names, registry=registry, buckets=bounds),
    )


def log_counter(registry: Registry) -> Callable[[str], None]:
    """Returns a callback for `configure_logging(on_line=...)` that counts log lines by level."""
    levels = ("debug", "info", "warning", "error", "critical")
    family = counter(registry, "log_messages_total", "Log lines by level", {"level": levels})
    return lambda level: family(level if level in levels else "info").inc()


def set_build_info(registry: Registry, *, version: str, commit: str, schema_revision: str) -> None:
    """Sets the gauge `tactful_build_info` to 1, with labels that describe the build; and the process metrics."""
    labels = {"version": (version,), "commit": (commit,), "schema_revision": (schema_revision,)}
    gauge(registry, "build_info", "Build and schema facts", labels)(version, commit, schema_revision).set(1)
    if "process" not in registry.families:
        registry.families["process"] = ProcessCollector(registry=registry)


def _get_family(
    registry: Registry,
    name: str,
    labels: Labels | None,
    combos: Combinations | None,
    make: Callable[[str, tuple[str, ...]], Child],
) -> MetricFamily[Child]:
    full = name if name.startswith((METRIC_PREFIX, "http_server_")) else METRIC_PREFIX + name
    closed = {label: tuple(map(str, values)) for label, values in (labels or {}).items()}
    family = registry.families.get(full)
    if family is None:
        family = registry.families[full] = MetricFamily(make(full, tuple(closed)), tuple(closed))
    known = cast(MetricFamily[Child], family)
    known.add_labels(closed, combos)
    return known

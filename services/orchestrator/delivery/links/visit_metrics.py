"""Metrics of links of our own. Label sets are closed."""

from typing import Final, Literal, get_args

from services.kit.observability.metrics import Registry, counter
from services.orchestrator.delivery.links.sealed_links import LinkKind

VisitEnd = Literal["kept", "repeated", "not_counted", "refused", "lost"]
_LINKS: Final[dict[LinkKind, str]] = {"l": "click", "o": "open"}


class VisitMetrics:
    """What becomes of requests for links and pictures in messages."""

    def __init__(self, registry: Registry) -> None:
        self._visits = counter(
            registry,
            "link_visits_total",
            "Requests for links and pictures in messages: kept as receipts, repeated, not counted (HEAD, fetched "
            "ahead, or too many), refused (not sealed here, or too old), lost (the database did not take them in time)",
            {"link": tuple(_LINKS.values()), "end": get_args(VisitEnd)},
        )

    def count_visits(self, kind: LinkKind, end: VisitEnd, times: int = 1) -> None:
        """Count what became of requests."""
        self._visits(_LINKS[kind], end).inc(times)

"""The text of `/metrics`: OpenMetrics, or the older text format of Prometheus for who asks for that alone.

Anybody who reaches the port may ask, and a text of some thousand series takes a tenth of a second of processor time. So
one text is written at a time, in a thread, and all together may take SHARE of the time; beyond that the last text is
given again. Prometheus, which asks every few seconds, always gets a new one.
"""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from services.kit.observability.metrics import Registry

SHARE = 0.1
"""Of the time, that texts may take to be written."""
MOST_SAVED = 2.0
"""Seconds of writing that a quiet time saves up: several Prometheus servers and a person may ask in the same second."""
_OPENMETRICS = "application/openmetrics-text"


class MetricsPage:
    """The metrics of one process, as text."""

    def __init__(self, registry: Registry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._budget, self._budget_at = MOST_SAVED, monotonic()
        self._last: dict[bool, tuple[bytes, str]] = {}
        self._lock = asyncio.Lock()

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the metrics and their media type for an `Accept` header.

        Only OpenMetrics carries exemplars, so it is the form for everybody who takes it, and for who names no form.
        """
        accepted = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
        is_plain = _OPENMETRICS not in accepted and bool(accepted & {"text/plain", "text/*"})
        async with self._lock:
            began = self._monotonic()
            self._budget = min(MOST_SAVED, self._budget + (began - self._budget_at) * SHARE)
            self._budget_at = began
            if self._budget > 0 or is_plain not in self._last:
                self._last[is_plain] = await asyncio.to_thread(self._write, is_plain)
                self._budget -= self._monotonic() - began
            return self._last[is_plain]

    def _write(self, is_plain: bool) -> tuple[bytes, str]:
        if is_plain:
            return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
        text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST

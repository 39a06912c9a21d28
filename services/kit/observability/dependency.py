"""The servers that a process needs: whether each answers, as a gauge, a sentence, and one log line for each change
and for each reason of a loss.

A server is asked by a probe every few seconds, apart from the work: so that a quiet process knows as well, and a slow
request is not taken for a server that is gone. Two probes in a row must fail before the server counts as lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from services.kit.errors import TactfulError, Transient
from services.kit.observability.logs import log
from services.kit.observability.metrics import MetricFamily, Registry, gauge

PROBE_INTERVAL = 2.0
"""Seconds between two probes of a server that answers."""
RETRY_INTERVAL = 1.0
"""Seconds between two probes of one that does not."""
PROBE_TIMEOUT = 3.0
HELD_UP = 1.0
"""Seconds by which a time-out may be late. If it is later, this process was held up, and may have missed the answer."""
FAILED_PROBES = 2
"""Failed probes in a row after which the server counts as lost."""

Probe = Callable[[], Awaitable[object]]


class Dependency:
    """One server, as the probes of this process see it. `server` is where it should answer, without credentials."""

    def __init__(
        self,
        name: str,
        server: str,
        *,
        probe_interval: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`probe_interval`: seconds between two probes while it answers [PROBE_INTERVAL]."""
        self.name = name
        self.server = server
        self.probe_interval = PROBE_INTERVAL if probe_interval is None else probe_interval
        self.on_change: list[Callable[[bool], object]] = []
        """Called with whether the server answers: after the first probe, and whenever that changes."""
        self._monotonic = monotonic
        self._answers: bool | None = None
        self._last_answer = monotonic()
        self._failed_probes = 0
        self._reason = ""
        self._logged_reasons: set[str] = set()

    @property
    def is_lost(self) -> bool:
        """Whether the server is known not to answer. False before the first probes."""
        return self._answers is False

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last answer; 0 if the last probe was answered."""
        return self._monotonic() - self._last_answer if self._failed_probes else 0.0

    def describe(self) -> str:
        """One sentence about a server that does not answer, such as "kafka: no answer for 17 s from kafka:9092"."""
        reason = f" ({self._reason})" if self._reason else ""
        return f"{self.name}: no answer for {self.silent_seconds:.0f} s from {self.server}{reason}"

    def readiness_check(self, after: float) -> Probe:
        """Returns a check for `Health`, which fails once the server has not answered for `after` seconds."""

        async def check() -> None:
            if self.silent_seconds >= after:
                raise Transient(self.describe())

        return check

    def record_answer(self) -> None:
        """The server has answered a probe."""
        silent = self.silent_seconds
        self._last_answer, self._failed_probes, self._reason = self._monotonic(), 0, ""
        if self._answers is False:
            log("dependency_back", dependency=self.name, server=self.server, seconds=round(silent, 1))
        self._logged_reasons.clear()
        self._set_state(True)

    def record_failure(self, error: BaseException) -> None:
        """The server has not answered a probe."""
        self._failed_probes += 1
        self._reason = _reason(error)
        if self._failed_probes >= FAILED_PROBES:
            if self._reason not in self._logged_reasons:  # a broker that is back, and not trusted, is another trouble
                self._logged_reasons.add(self._reason)
                log("dependency_lost", "error", dependency=self.name, server=self.server, reason=self._reason)
            self._set_state(False)

    def _set_state(self, answers: bool) -> None:
        if answers is not self._answers:
            self._answers = answers
            for callback in self.on_change:
                callback(answers)


def dependency_gauge(registry: Registry, *names: str) -> MetricFamily[Gauge]:
    """Declares the gauge of these servers. A server has no series before the first probes have an answer."""
    help_text = "1 while a server that this process needs answers, 0 while it does not; no series before it is known"
    return gauge(registry, "dependency_up", help_text, {"dependency": names}, combos=())


async def watch_dependency(
    dependency: Dependency, probe: Probe, stopping: asyncio.Event, *, timeout: float = PROBE_TIMEOUT
) -> None:
    """Probes the server until `stopping` is set. A probe fails by raising, or after `timeout` seconds."""
    while not stopping.is_set():
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await probe()
        except Exception as error:
            if time.monotonic() - began < timeout + HELD_UP:
                dependency.record_failure(error)
        else:
            dependency.record_answer()
        interval = RETRY_INTERVAL if dependency.silent_seconds else dependency.probe_interval
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await stopping.wait()


def _reason(error: BaseException) -> str:
    """Why a probe failed, without the text of foreign errors, which may hold credentials."""
    if isinstance(error, TactfulError):
        return error.detail
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__

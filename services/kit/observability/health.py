"""Health: live (our loops advance), ready (we can work now), started (we could once)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

ReadinessCheck = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one readiness check. `detail` is the class of the error, never its text. Time in seconds."""

    ok: bool
    seconds: float
    detail: str = ""


class Heartbeat:
    """A loop that must show regularly that it advances."""

    def __init__(self, health: "Health", name: str) -> None:
        self._health = health
        self.name = name
        self.beat()

    def beat(self) -> None:
        """Records that the loop advances: to be called at least every few seconds, idle or not."""
        self._health.beats[self.name] = self._health.monotonic()

    def unregister(self) -> None:
        """The loop ended intentionally: expect no more beats."""
        self._health.beats.pop(self.name, None)


class Health:
    """The answers of `/livez`, `/readyz` and `/startupz`.

    Readiness checks are local (our database, our assignment) and never call a provider: a failing provider must not
    take this process out of service. A loop without a beat for `stuck_after` seconds fails liveness.
    """

    def __init__(
        self,
        *,
        stuck_after: float = 60.0,
        check_timeout: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.started = False
        self.stopping = False
        self.beats: dict[str, float] = {}
        self.monotonic = monotonic
        self._checks: dict[str, ReadinessCheck] = {}
        self._stuck_after = stuck_after
        self._check_timeout = check_timeout

    def add_check(self, name: str, check: ReadinessCheck) -> None:
        """Adds a readiness check: it fails by raising, by returning False, or by exceeding the time-out."""
        self._checks[name] = check

    def add_loop(self, name: str) -> Heartbeat:
        """Registers a loop; it counts as advancing from now on."""
        return Heartbeat(self, name)

    def stuck_loops(self) -> tuple[str, ...]:
        """Returns the loops that have not advanced for too long."""
        oldest = self.monotonic() - self._stuck_after
        return tuple(sorted(name for name, beat in self.beats.items() if beat < oldest))

    async def run_checks(self) -> Mapping[str, CheckResult]:
        """Runs all checks concurrently. The process is ready if all pass; `started` and `not_stopping` are
        among them.
        """
        results = {"started": CheckResult(self.started, 0.0), "not_stopping": CheckResult(not self.stopping, 0.0)}
        names = tuple(self._checks)
        results.update(
            zip(names, await asyncio.gather(*(self._run_check(self._checks[name]) for name in names)), strict=True)
        )
        return results

    async def _run_check(self, check: ReadinessCheck) -> CheckResult:
        start = self.monotonic()
        try:
            async with asyncio.timeout(self._check_timeout):
                ok, detail = await check() is not False, ""
        except Exception as error:
            ok, detail = False, type(error).__name__
        return CheckResult(ok, round(self.monotonic() - start, 6), detail)

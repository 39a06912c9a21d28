"""Health: live (our loops advance), ready (we can work now), started (we could once)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.kit.errors import TactfulError

ReadinessCheck = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one readiness check. `detail` says why it failed: our own errors' words, or the class of a foreign
    error, whose text may hold a secret. Time in seconds. A check that is not `required` is shown and changes nothing.
    """

    ok: bool
    seconds: float
    detail: str = ""
    required: bool = True


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
        self._checks: dict[str, tuple[ReadinessCheck, bool]] = {}
        self._stuck_after = stuck_after
        self._check_timeout = check_timeout

    def add_check(self, name: str, check: ReadinessCheck, *, required: bool = True) -> None:
        """Adds a readiness check: it fails by raising, by returning False, or by exceeding the time-out.

        `required`: whether the process is not ready while it fails.
        """
        self._checks[name] = (check, required)

    def check_names(self) -> frozenset[str]:
        """The names of the checks added so far."""
        return frozenset(self._checks)

    def add_loop(self, name: str) -> Heartbeat:
        """Registers a loop; it counts as advancing from now on."""
        return Heartbeat(self, name)

    def stuck_loops(self) -> tuple[str, ...]:
        """Returns the loops that have not advanced for too long."""
        oldest = self.monotonic() - self._stuck_after
        return tuple(sorted(name for name, beat in self.beats.items() if beat < oldest))

    async def run_checks(self) -> Mapping[str, CheckResult]:
        """Runs all checks concurrently. The process is ready if all required ones pass (`failures`); `started` and
        `not_stopping` are among them.
        """
        results = {"started": CheckResult(self.started, 0.0), "not_stopping": CheckResult(not self.stopping, 0.0)}
        names = tuple(self._checks)
        results.update(
            zip(names, await asyncio.gather(*(self._run_check(*self._checks[name]) for name in names)), strict=True)
        )
        return results

    async def _run_check(self, check: ReadinessCheck, required: bool) -> CheckResult:
        start = self.monotonic()
        try:
            async with asyncio.timeout(self._check_timeout):
                ok, detail = await check() is not False, ""
        except TactfulError as error:
            ok, detail = False, error.detail
        except TimeoutError:
            ok, detail = False, f"no answer within {self._check_timeout:g} s"
        except Exception as error:
            ok, detail = False, type(error).__name__
        return CheckResult(ok, round(self.monotonic() - start, 6), detail, required)


def failures(results: Mapping[str, CheckResult]) -> dict[str, str]:
    """Returns what prevents readiness: the names of the required checks that fail, each with its detail."""
    return {name: result.detail for name, result in results.items() if result.required and not result.ok}

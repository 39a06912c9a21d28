"""The two calls of the pipeline: judge beside the live decisions, and keep what came of it with them.

Nothing that goes wrong here touches what is live: it is caught, counted and logged. While nothing is in shadow the
pipeline calls neither.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from schemas.times import Instant
from services.kit.db.database import Tx
from services.kit.observability.logs import log_error
from services.orchestrator.decisions.commit import ledger_or_empty
from services.orchestrator.decisions.evaluation import CustomerEvaluation, RenderMessage
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import Cause, Notes
from services.orchestrator.insight.shadow.shadow_evaluation import Arrival, Live, judge, turns
from services.orchestrator.insight.shadow.shadow_series import ShadowSeries
from services.orchestrator.insight.shadow.variants import World, worlds
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue

TOUCHES = 500
"""Touches that the shadows may judge of one batch; a batch holds at most 500 events."""
SECONDS = 0.25
"""Seconds that the shadows may take of one batch; what is begun is finished."""


class Budget:
    """What the shadows may still spend on a batch."""

    def __init__(self, touches: int, seconds: float, clock: Callable[[], float]) -> None:
        self._touches = touches
        self._until = clock() + seconds
        self._clock = clock

    def allows(self, touches: int) -> bool:
        """Whether so many touches more may be judged; they count from now on."""
        if touches > self._touches or self._clock() >= self._until:
            return False
        self._touches -= touches
        return True


class Shadow:
    """Judges what is in shadow on live events, bounded for each batch."""

    def __init__(
        self,
        render: RenderMessage,
        series: ShadowSeries,
        *,
        touches: int = TOUCHES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render = render
        self._series = series
        self._touches = touches
        self._seconds = seconds
        self._clock = clock

    def judge(
        self,
        arrivals: Sequence[Arrival],
        works: Sequence[CustomerEvaluation],
        facts: Mapping[str, Facts],
        ledgers: dict[str, VersionedLedger],
        catalogue: Catalogue,
        now: Instant,
    ) -> Notes:
        """What the shadows make of the events that nobody has judged before. `works`: what is live made of them.

        `ledgers`: as they were read, before anything was decided.
        """
        notes = Notes(now, len(arrivals))
        try:
            self._judge(notes, arrivals, {work.customer: work for work in works}, facts, ledgers, worlds(catalogue))
        except Exception as error:  # what is live goes on, whatever went wrong
            log_error("shadow_failed", error, stage="judge")
            return Notes(now, len(arrivals), lost="error")
        return notes

    def _judge(
        self,
        notes: Notes,
        arrivals: Sequence[Arrival],
        works: Mapping[str, CustomerEvaluation],
        facts: Mapping[str, Facts],
        ledgers: dict[str, VersionedLedger],
        seen: Sequence[World],
    ) -> None:
        budget = Budget(self._touches, self._seconds, self._clock)
        by_customer: dict[str, dict[object, Arrival]] = {}
        for arrival in arrivals:
            by_customer.setdefault(arrival.event.subject, {}).setdefault(arrival.key, arrival)
        for customer, found in by_customer.items():
            live, held = Live.of(works.get(customer)), ledger_or_empty(ledgers, customer)
            for world in seen:
                self._world(world, list(found.values()), facts[customer], live, held, notes, budget)

    def _world(
        self,
        world: World,
        arrivals: Sequence[Arrival],
        facts: Facts,
        live: Live,
        held: VersionedLedger,
        notes: Notes,
        budget: Budget,
    ) -> None:
        cause: Cause | None = None
        try:
            taken = turns(world, arrivals, facts, live)
            if not taken:
                return
            if budget.allows(sum(len(turn.touches) for turn in taken)):
                notes.notes += list(judge(world, taken, facts, held.ledger, live, notes.now, self._render))
            else:
                cause = "limit"
        except Exception as error:  # what is live goes on, whatever went wrong
            log_error("shadow_failed", error, stage="judge", noun=world.watched.noun, version=world.watched.version)
            cause = "error"
        if cause is not None:
            notes.skipped[world.watched, cause] += len(arrivals)

    async def keep(self, tx: Tx, notes: Notes) -> None:
        """Write the notes with what is live, in its transaction. What cannot be written is left out and counted."""
        if not (notes.notes or notes.skipped):
            return
        await tx.execute("SAVEPOINT shadow")
        try:
            await store.keep(tx, notes)
            notes.lost = None
        except Exception as error:  # what is live goes on, whatever went wrong
            log_error("shadow_failed", error, stage="keep")
            await tx.execute("ROLLBACK TO SAVEPOINT shadow")
            notes.lost = "unkept"
        await tx.execute("RELEASE SAVEPOINT shadow")

    def kept(self, notes: Notes) -> None:
        """The transaction has been committed: count."""
        self._series.kept(notes)

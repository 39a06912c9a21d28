"""Shadow evaluation inside the pipeline: evaluates beside the live decisions, and stores the result with them.

A failure here never affects live decisions: it is caught, counted and logged. While nothing is in shadow the pipeline
calls neither function.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from schemas.times import Instant
from services.kit.db.database import Tx
from services.kit.observability.logs import log_error
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.decisions.evaluation import CustomerEvaluation, RenderMessage
from services.orchestrator.decisions.store import EMPTY_LEDGER, VersionedLedger
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import ShadowObservations, SkipCause
from services.orchestrator.insight.shadow.shadow_evaluation import LiveResults, NewEvent, build_steps, evaluate_variant
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from services.orchestrator.insight.shadow.variants import ShadowVariant, build_variants
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue

MAX_EVALUATIONS = 500
"""The number of triggered campaigns that shadows may evaluate per batch; a batch has at most 2,000 events."""
MAX_SECONDS = 0.25
"""Seconds that shadows may spend per batch; an evaluation that has begun is finished."""


class BatchBudget:
    """What shadows may still spend on a batch."""

    def __init__(self, evaluation_count: int, seconds: float, clock: Callable[[], float]) -> None:
        self._evaluations = evaluation_count
        self._deadline = clock() + seconds
        self._clock = clock

    def try_spend(self, evaluation_count: int) -> bool:
        """Whether so many more evaluations are allowed; if so they are deducted."""
        if evaluation_count > self._evaluations or self._clock() >= self._deadline:
            return False
        self._evaluations -= evaluation_count
        return True


class ShadowRecorder:
    """Evaluates shadow versions on live events, within limits per batch."""

    def __init__(
        self,
        render: RenderMessage,
        metrics: ShadowMetrics,
        *,
        evaluation_count: int = MAX_EVALUATIONS,
        seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render = render
        self._metrics = metrics
        self._max_evaluations = evaluation_count
        self._seconds = seconds
        self._clock = clock
        self._loop_share = LoopShare()

    async def evaluate_batch(
        self,
        new_events: Sequence[NewEvent],
        evaluations: Sequence[CustomerEvaluation],
        facts: Mapping[str, Facts],
        ledgers: Mapping[str, VersionedLedger],
        catalogue: Catalogue,
        now: Instant,
    ) -> ShadowObservations:
        """Evaluates the shadows on events that are new. `evaluations`: what the live versions made of them.

        `ledgers`: as read before anything was decided.
        """
        observations = ShadowObservations(now, len(new_events))
        try:
            await self._evaluate_customers(
                observations,
                new_events,
                {evaluation.customer: evaluation for evaluation in evaluations},
                facts,
                ledgers,
                build_variants(catalogue),
            )
        except Exception as error:  # live decisions must not be affected by a shadow
            log_error("shadow_failed", error, stage="judge")
            return ShadowObservations(now, len(new_events), failure="error")
        return observations

    async def _evaluate_customers(
        self,
        observations: ShadowObservations,
        new_events: Sequence[NewEvent],
        evaluations: Mapping[str, CustomerEvaluation],
        facts: Mapping[str, Facts],
        ledgers: Mapping[str, VersionedLedger],
        variants: Sequence[ShadowVariant],
    ) -> None:
        budget = BatchBudget(self._max_evaluations, self._seconds, self._clock)
        by_customer: dict[str, dict[object, NewEvent]] = {}
        for new_event in new_events:
            by_customer.setdefault(new_event.event.subject, {}).setdefault(new_event.key, new_event)
        for customer, events_by_key in by_customer.items():
            live, versioned_ledger = (
                LiveResults.from_evaluation(evaluations.get(customer)),
                ledgers.get(customer, EMPTY_LEDGER),
            )
            for variant in variants:
                await self._loop_share.give_turn_if_due()
                self._evaluate_variant(
                    variant, list(events_by_key.values()), facts[customer], live, versioned_ledger, observations, budget
                )

    def _evaluate_variant(
        self,
        variant: ShadowVariant,
        new_events: Sequence[NewEvent],
        facts: Facts,
        live: LiveResults,
        versioned_ledger: VersionedLedger,
        observations: ShadowObservations,
        budget: BatchBudget,
    ) -> None:
        cause: SkipCause | None = None
        try:
            steps = build_steps(variant, new_events, facts, live)
            if not steps:
                return
            if budget.try_spend(sum(len(step.triggered) for step in steps)):
                observations.observations += list(
                    evaluate_variant(
                        variant, steps, facts, versioned_ledger.ledger, live, observations.now, self._render
                    )
                )
            else:
                cause = "limit"
        except Exception as error:  # live decisions must not be affected by a shadow
            log_error("shadow_failed", error, stage="judge", noun=variant.shadow.noun, version=variant.shadow.version)
            cause = "error"
        if cause is not None:
            observations.skipped[variant.shadow, cause] += len(new_events)

    async def save(self, tx: Tx, observations: ShadowObservations) -> None:
        """Stores the observations in the transaction of the live decisions. A failed write is skipped and counted."""
        if not (observations.observations or observations.skipped):
            return
        # In PostgreSQL a failed statement aborts the whole transaction. Rolling back to a savepoint undoes only the
        # shadow rows and lets the live decisions commit.
        await tx.execute("SAVEPOINT shadow")
        try:
            await store.save_observations(tx, observations)
            observations.failure = None
        except Exception as error:  # live decisions must not be affected by a shadow
            log_error("shadow_failed", error, stage="keep")
            await tx.execute("ROLLBACK TO SAVEPOINT shadow")
            observations.failure = "unkept"
        # ROLLBACK TO keeps the savepoint, so it is released in both cases.
        await tx.execute("RELEASE SAVEPOINT shadow")

    def count_committed(self, observations: ShadowObservations) -> None:
        """Counts the observations once their transaction has committed."""
        self._metrics.count_committed(observations)

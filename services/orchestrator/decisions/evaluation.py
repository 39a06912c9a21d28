"""Evaluates one customer's candidates on frozen facts and one ledger, and returns everything that must be written.

`evaluate_customer` is the only function that does this. It evaluates fresh events, waiting messages whose time has
come, messages that a recheck has refused, the plan for lifting a hold and the replay of an old decision; what differs
between them is an `EvaluationMode`. It is pure, apart from rendering, which is pure as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.message import Message
from schemas.permission import CLOCK_TOLERANCE
from schemas.reasons import Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage, decide_in_steps
from services.orchestrator.policy.fallback_progress import FallbackProgress
from services.orchestrator.policy.horizon import trim_ledger
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.steps import Steps, finish
from services.template import RenderError

NO_STATES: Mapping[str, str] = MappingProxyType({})


class EvaluationMode(msgspec.Struct, frozen=True):
    """What differs between the reasons to evaluate.

    `clock_tolerance`: microseconds by which the start of a refusing entry may lie in the future and still count.
    `replans_claimed`: contacts of the evaluated messages that were made by their claims count as planned again.
    `counts_sent_as_made`: what is sent counts as a made contact for the candidates after it, not as a planned one.
    """

    clock_tolerance: int = 0
    replans_claimed: bool = False
    counts_sent_as_made: bool = False


LIVE = EvaluationMode()
"""Fresh events and waiting messages that are due."""
TAKEN_BACK = EvaluationMode(clock_tolerance=CLOCK_TOLERANCE, replans_claimed=True)
"""Claimed messages that a recheck has refused."""
RELEASE_PLAN = EvaluationMode(counts_sent_as_made=True)
"""The plan for lifting a hold: each message at its turn of the release, after those that were released before it."""
REPLAY = LIVE
REPLAY_TAKEN_BACK = EvaluationMode(clock_tolerance=CLOCK_TOLERANCE)
"""An old decision about a message that a recheck had refused. The replayed ledger has it planned already."""

RenderMessage = Callable[[PlannedMessage, Facts, Instant], Message]
"""Renders a message that may be sent: content and address of its channel. Raises RenderError."""


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Candidates to evaluate together: the campaigns that one event triggered, or one waiting message. Or a contact
    that another tool reports, which is only noted.

    `expected_states`: the states in which the waiting messages were read; None for a fresh event.
    `has_ended_processes`: rendering them has ended process after process, so it fails without another try.
    """

    triggered_campaigns: tuple[TriggeredCampaign, ...] = ()
    reported_contact: Contact | None = None
    expected_states: Mapping[str, str] | None = None
    has_ended_processes: bool = False

    @property
    def progress(self) -> FallbackProgress | None:
        """Which channels were tried before; None unless the request is about a campaign that falls back."""
        return self.triggered_campaigns[0].progress if self.triggered_campaigns else None


class ReadyMessage(msgspec.Struct, frozen=True):
    """A message that may be handed over now: rendered, with its plan and the decision that allowed it."""

    planned: PlannedMessage
    message: Message
    decision: Decision


class DeferredMessage(msgspec.Struct, frozen=True):
    """A message that is evaluated again later: at an instant, or when the hold or situation that parks it ends."""

    planned: PlannedMessage
    decision: Decision


class MessageClaim(NamedTuple):
    """What a claim writes on a message: its handover, and the keyed hash of its address."""

    handover_id: int
    address_hash: str


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A message that this process alone may hand over now: the message as rendered, beside the claim and the attempt.

    `ledger` is its customer's ledger as the claim left it: the recheck evaluates the rules over contacts on it.
    """

    message: Message
    handover_id: int
    adapter: str
    """The name of the adapter that it was claimed for."""
    number: int
    """Of the attempt, from 1."""
    claimed_at: Instant
    ledger: Ledger
    first_planned: Instant | None
    ready_at: Instant
    """When it became ready to be handed over."""
    maybe_sent: bool = False
    """An earlier attempt may have arrived."""
    is_repeatable: bool = True
    """Whether it may be handed over although an earlier attempt may have arrived."""
    triggered: TriggeredCampaign | None = None
    """What was evaluated, where the same process has just decided it. So are `facts` and `sole_decision`."""
    facts: Facts | None = None
    sole_decision: bool = False
    """No other decision was taken with it, so the customer's contacts are still those on which it was allowed."""

    @property
    def stored(self) -> StoredMessage:
        """The message as it is stored."""
        message = self.message
        return StoredMessage(
            *(message.id, message.customer, message.campaign, message.channel, self.first_planned),
            *(message.event_source, message.event_id),
        )


class CustomerEvaluation(msgspec.Struct, eq=False):
    """What was evaluated for one customer, on which facts and ledger, and what came of it."""

    customer: str
    facts: Facts
    requests: Sequence[EvaluationRequest]
    base: VersionedLedger
    ledger: Ledger
    expected_states: Mapping[str, str] = NO_STATES
    """The states in which waiting messages were read, by message id."""
    decisions: list[Decision] = []
    ready_messages: list[ReadyMessage] = []
    deferred_messages: list[DeferredMessage] = []
    failed_messages: list[PlannedMessage] = []
    """Messages of campaigns that fall back whose content could not be rendered: kept, because another channel follows.
    """
    final_outcomes: dict[str, tuple[str, str]] = {}
    """Messages that were waiting and have come to an end: message id -> (outcome, reason)."""
    claims: dict[str, MessageClaim] = {}
    """Messages that the evaluating process has claimed for itself, in order of their claims."""

    @property
    def writes_ledger(self) -> bool:
        """Whether the ledger row must be locked and written."""
        return self.ledger is not self.base.ledger or bool(self.expected_states)


def evaluate_customer(
    customer: str,
    facts: Facts,
    requests: Sequence[EvaluationRequest],
    base: VersionedLedger,
    now: Instant,
    complete_since: Instant,
    render: RenderMessage | None,
    mode: EvaluationMode = LIVE,
) -> CustomerEvaluation:
    """Evaluate the requests in order; each sees the contacts that those before it planned.

    `complete_since`: the instant before which no rule looks. Without `render` nothing is rendered and no message is
    ready: for evaluations that are not written.
    """
    return finish(evaluate_in_steps(customer, facts, requests, base, now, complete_since, render, mode))


def evaluate_in_steps(
    customer: str,
    facts: Facts,
    requests: Sequence[EvaluationRequest],
    base: VersionedLedger,
    now: Instant,
    complete_since: Instant,
    render: RenderMessage | None,
    mode: EvaluationMode = LIVE,
) -> Steps[CustomerEvaluation]:
    """Like `evaluate_customer`; a step is the decision about a campaign of one request, or the rendering of a
    message.
    """
    evaluation = CustomerEvaluation(customer, facts, requests, base, base.ledger)
    if mode.replans_claimed:
        for request in requests:
            for message_id in request.expected_states or ():
                evaluation.ledger = evaluation.ledger.set_contact_state(message_id, "planned")
    for position, request in enumerate(requests):
        if position:
            yield
        if request.expected_states:
            evaluation.expected_states = {**evaluation.expected_states, **request.expected_states}
        if request.reported_contact is not None:
            evaluation.ledger = evaluation.ledger.put_reported_contact(request.reported_contact)
        elif request.triggered_campaigns:
            yield from _evaluate_request(evaluation, request, now, render, mode)
    evaluation.ledger = trim_ledger(evaluation.ledger, complete_since)
    return evaluation


def _evaluate_request(
    evaluation: CustomerEvaluation,
    request: EvaluationRequest,
    now: Instant,
    render: RenderMessage | None,
    mode: EvaluationMode,
) -> Steps[None]:
    result = yield from decide_in_steps(
        request.triggered_campaigns,
        evaluation.facts,
        evaluation.ledger,
        now,
        count_sent_as_made=mode.counts_sent_as_made,
        clock_tolerance=mode.clock_tolerance,
    )
    evaluation.ledger = result.ledger
    decisions = {decision.message_id: decision for decision in result.decisions}
    failed: list[PlannedMessage] = []
    for planned in result.planned:
        decision = decisions[planned.message_id]
        if planned.outcome != Outcome.SEND:
            evaluation.deferred_messages.append(DeferredMessage(planned, decision))
            continue
        if render is None:
            continue
        yield
        try:
            if request.has_ended_processes:
                raise RenderError("ended_process", "the processes that rendered it have ended, one after the other")
            evaluation.ready_messages.append(ReadyMessage(planned, render(planned, evaluation.facts, now), decision))
        except RenderError as error:
            decisions[planned.message_id] = as_render_failure(decision, error)
            evaluation.ledger = evaluation.ledger.release(planned.message_id)
            if planned.triggered.falls_back:
                failed.append(planned)
    if failed:
        _fall_back_at_once(evaluation, failed, now)
    for message_id in request.expected_states or ():
        ended = decisions.get(message_id)
        if ended is None:
            evaluation.final_outcomes[message_id] = (Outcome.SUPPRESS, Reason.OTHER_CHANNEL)
        elif ended.outcome in (Outcome.SUPPRESS, Outcome.FAIL):
            evaluation.final_outcomes[message_id] = (ended.outcome, ended.reason)
    evaluation.decisions += [decisions[decision.message_id] for decision in result.decisions]


def _fall_back_at_once(evaluation: CustomerEvaluation, failed: Sequence[PlannedMessage], now: Instant) -> None:
    """Keep messages that failed for their content, and have those that wait for them evaluated at once."""
    evaluation.failed_messages += failed
    evaluation.final_outcomes |= dict.fromkeys(
        [each.message_id for each in failed], (Outcome.FAIL.value, Reason.RENDER_ERROR.value)
    )
    for each in failed:
        evaluation.deferred_messages = [
            DeferredMessage(msgspec.structs.replace(planned, parked=replace(parked, wake_at=now)), decision)
            if (parked := planned.parked) is not None and each.message_id in planned.woken_by
            else DeferredMessage(planned, decision)
            for planned, decision in [(item.planned, item.decision) for item in evaluation.deferred_messages]
        ]


def as_render_failure(decision: Decision, error: RenderError) -> Decision:
    """Returns the decision about a message that could not be rendered, with the cause."""
    return msgspec.structs.replace(
        decision,
        outcome=Outcome.FAIL.value,
        reason=Reason.RENDER_ERROR.value,
        rule_id=error.code,
        until=None,
        failure=error.to_finding(),
    )

"""One customer's judgement, from frozen facts to what must be written. Pure but for rendering, which is pure as well.

The same function judges a fresh event, a deferred message whose time has come, and, when another writer was faster,
the same once more under the lock of the customer's ledger.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from schemas.decision import Decision
from schemas.reasons import Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.delivery.attempts import MessageClaim
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage, decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import TriggeredCampaign
from services.template import RenderError

NO_STATES: Mapping[str, str] = MappingProxyType({})
MAX_UNTRIMMED_CONTACTS = 64
"""A ledger longer than this forgets what no rule can look back at any more."""


class RenderedMessage(msgspec.Struct, frozen=True):
    """What would be sent, and where to."""

    to: str
    fields: dict[str, str]
    locale: str


RenderMessage = Callable[[PlannedMessage, Facts, Instant], RenderedMessage]
"""Tailors a message to its channel. Raises RenderError."""


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Candidates to be judged together: the touches of one event, or one waiting message. Or a contact to be noted.

    `expected` holds the states in which the waiting messages were read; they are None for a fresh event.
    """

    triggered_campaigns: tuple[TriggeredCampaign, ...] = ()
    reported_contact: Contact | None = None
    expected_states: Mapping[str, str] | None = None


class ReadyMessage(msgspec.Struct, frozen=True):
    """A message that may be handed over."""

    planned: PlannedMessage
    content: RenderedMessage
    decision: Decision


class DeferredMessage(msgspec.Struct, frozen=True):
    """A message that is judged again later, at an instant or when what parked it ends."""

    planned: PlannedMessage
    decision: Decision


class CustomerEvaluation(msgspec.Struct, eq=False):
    """What is asked about one customer, on which ledger it was judged, and what came of it."""

    customer: str
    facts: Facts
    requests: Sequence[EvaluationRequest]
    base: VersionedLedger
    ledger: Ledger
    expected_states: Mapping[str, str] = NO_STATES
    """States in which waiting messages were read: id -> state."""
    decisions: list[Decision] = []
    ready_messages: list[ReadyMessage] = []
    deferred_messages: list[DeferredMessage] = []
    final_outcomes: dict[str, tuple[str, str]] = {}
    """Messages that were waiting and no longer are: id -> (outcome, reason)."""
    claims: dict[str, MessageClaim] = {}
    """Messages that are being handed over by the process that judged them, in order, and their marks."""

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
    render: RenderMessage,
    *,
    clock_tolerance: int = 0,
) -> CustomerEvaluation:
    """Judge the questions in order; each sees the contacts that those before it planned.

    `since`: the instant before which no rule looks. `ahead`: microseconds by which a refusing entry may lie ahead and
    still count, as at the gate.
    """
    evaluation = CustomerEvaluation(customer, facts, requests, base, base.ledger)
    for request in requests:
        if request.expected_states:
            evaluation.expected_states = {**evaluation.expected_states, **request.expected_states}
        if request.reported_contact is not None:
            evaluation.ledger = evaluation.ledger.put_reported_contact(request.reported_contact)
        elif request.triggered_campaigns:
            _evaluate_request(evaluation, request, now, render, clock_tolerance)
    if len(evaluation.ledger) > MAX_UNTRIMMED_CONTACTS:
        evaluation.ledger = evaluation.ledger.forget(complete_since)
    return evaluation


def _evaluate_request(
    evaluation: CustomerEvaluation,
    request: EvaluationRequest,
    now: Instant,
    render: RenderMessage,
    clock_tolerance: int,
) -> None:
    result = decide(
        request.triggered_campaigns, evaluation.facts, evaluation.ledger, now, clock_tolerance=clock_tolerance
    )
    evaluation.ledger = result.ledger
    decisions = {decision.message_id: decision for decision in result.decisions}
    for planned in result.planned:
        decision = decisions[planned.message_id]
        if planned.outcome != Outcome.SEND:
            evaluation.deferred_messages.append(DeferredMessage(planned, decision))
            continue
        try:
            evaluation.ready_messages.append(ReadyMessage(planned, render(planned, evaluation.facts, now), decision))
        except RenderError as error:
            decisions[planned.message_id] = _as_render_failure(decision, error)
            evaluation.ledger = evaluation.ledger.release(planned.message_id)
    for message in request.expected_states or ():
        ended = decisions.get(message)
        if ended is None:
            evaluation.final_outcomes[message] = (Outcome.SUPPRESS, Reason.OTHER_CHANNEL)
        elif ended.outcome in (Outcome.SUPPRESS, Outcome.FAIL):
            evaluation.final_outcomes[message] = (ended.outcome, ended.reason)
    evaluation.decisions += [decisions[decision.message_id] for decision in result.decisions]


def _as_render_failure(decision: Decision, error: RenderError) -> Decision:
    return msgspec.structs.replace(
        decision,
        outcome=Outcome.FAIL.value,
        reason=Reason.RENDER_ERROR.value,
        rule_id=error.code,
        until=None,
    )

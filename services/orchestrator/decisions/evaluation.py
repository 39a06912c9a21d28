"""One customer's judgement, from frozen facts to what must be written. Pure but for rendering, which is pure as well.

The same function judges a fresh event, a deferred message whose time has come, and, when another writer was faster,
the same once more under the lock of the customer's ledger.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from schemas.decision import Decision
from schemas.times import Instant
from schemas.vocabulary import Outcome, Reason
from services.orchestrator.decisions.store import Held
from services.orchestrator.delivery.attempts import Mark
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import Planned, decide
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Touch
from services.template import RenderError

NOTHING: Mapping[str, str] = MappingProxyType({})
KEPT_CONTACTS = 64
"""A ledger longer than this forgets what no rule can look back at any more."""


class Content(msgspec.Struct, frozen=True):
    """What would be sent, and where to."""

    to: str
    fields: dict[str, str]
    locale: str


Render = Callable[[Planned, Facts, Instant], Content]
"""Tailors a message to its channel. Raises RenderError."""


class Question(msgspec.Struct, frozen=True):
    """Candidates to be judged together: the touches of one event, or one waiting message. Or a contact to be noted.

    `expected` holds the states in which the waiting messages were read; they are None for a fresh event.
    """

    touches: tuple[Touch, ...] = ()
    report: Contact | None = None
    expected: Mapping[str, str] | None = None


class Ready(msgspec.Struct, frozen=True):
    """A message that may be handed over."""

    planned: Planned
    content: Content
    decision: Decision


class Waiting(msgspec.Struct, frozen=True):
    """A message that is judged again later, at an instant or when what parked it ends."""

    planned: Planned
    decision: Decision


class Work(msgspec.Struct, eq=False):
    """What is asked about one customer, on which ledger it was judged, and what came of it."""

    customer: str
    facts: Facts
    questions: Sequence[Question]
    held: Held
    ledger: Ledger
    again: Mapping[str, str] = NOTHING
    """States in which waiting messages were read: id -> state."""
    decisions: list[Decision] = []
    ready: list[Ready] = []
    waiting: list[Waiting] = []
    ended: dict[str, tuple[str, str]] = {}
    """Messages that were waiting and no longer are: id -> (outcome, reason)."""
    marked: dict[str, Mark] = {}
    """Messages that are being handed over by the process that judged them, in order, and their marks."""

    @property
    def writes_ledger(self) -> bool:
        """Whether the ledger row must be locked and written."""
        return self.ledger is not self.held.ledger or bool(self.again)


def judge(
    customer: str,
    facts: Facts,
    questions: Sequence[Question],
    held: Held,
    now: Instant,
    since: Instant,
    render: Render,
    *,
    ahead: int = 0,
) -> Work:
    """Judge the questions in order; each sees the contacts that those before it planned.

    `since`: the instant before which no rule looks. `ahead`: microseconds by which a refusing entry may lie ahead and
    still count, as at the gate.
    """
    work = Work(customer, facts, questions, held, held.ledger)
    for question in questions:
        if question.expected:
            work.again = {**work.again, **question.expected}
        if question.report is not None:
            work.ledger = work.ledger.report(question.report)
        elif question.touches:
            _judge(work, question, now, render, ahead)
    if len(work.ledger) > KEPT_CONTACTS:
        work.ledger = work.ledger.forget(since)
    return work


def _judge(work: Work, question: Question, now: Instant, render: Render, ahead: int) -> None:
    judged = decide(question.touches, work.facts, work.ledger, now, ahead=ahead)
    work.ledger = judged.ledger
    decisions = {decision.message_id: decision for decision in judged.decisions}
    for planned in judged.planned:
        decision = decisions[planned.message_id]
        if planned.outcome != Outcome.SEND:
            work.waiting.append(Waiting(planned, decision))
            continue
        try:
            work.ready.append(Ready(planned, render(planned, work.facts, now), decision))
        except RenderError as error:
            decisions[planned.message_id] = _unrendered(decision, error)
            work.ledger = work.ledger.release(planned.message_id)
    for message in question.expected or ():
        ended = decisions.get(message)
        if ended is None:
            work.ended[message] = (Outcome.SUPPRESS, Reason.OTHER_CHANNEL)
        elif ended.outcome in (Outcome.SUPPRESS, Outcome.FAIL):
            work.ended[message] = (ended.outcome, ended.reason)
    work.decisions += [decisions[decision.message_id] for decision in judged.decisions]


def _unrendered(decision: Decision, error: RenderError) -> Decision:
    return msgspec.structs.replace(
        decision,
        outcome=Outcome.FAIL.value,
        reason=Reason.RENDER_ERROR.value,
        rule_id=error.code,
        until=None,
    )

"""Never B within N of A, where A are contacts of a scope or a situation such as an open complaint."""

from schemas.decision import Verdict
from schemas.facts import Situation
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import History
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, defer, deny, text

NAME = "contact_history"
REASONS = (Reason.CONTACT_HISTORY,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each entry that concerns the candidate."""
    histories = candidate.concern.histories
    if not histories:
        return _ALLOW
    return tuple(
        [
            _contacts(entry, candidate, t) if entry.contacts is not None else _situation(entry, facts, t)
            for entry in histories
        ]
    )


def _contacts(entry: History, candidate: Candidate, t: Instant) -> Verdict:
    contacts = candidate.contacts
    t = contacts.time(t)
    times = contacts.times[entry.slot]
    free = free_instants.after_each(times, entry.within, t)
    if free == t:
        contacts.reaches(t - entry.within)
        return allow(NAME, entry.id)
    last = max(at for at in times if at <= t)
    return _refuse(entry, free, contact=text(last))


def _situation(entry: History, facts: Facts, t: Instant) -> Verdict:
    """Refused before max(opened, end) + within; while it is open nobody can tell until when."""
    if not facts.suppressions.situations:
        return allow(NAME, entry.id)
    refusing = [
        situation for situation in facts.situations.get(entry.situation or "", ()) if _refuses(entry, situation, t)
    ]
    if not refusing:
        return allow(NAME, entry.id)
    until = None if open_at(entry, facts, t) else max(_over(entry, situation) for situation in refusing)
    last = refusing[-1]
    evidence = {"situation": last.kind, "ref": last.ref, "opened": text(last.opened), "closed": text(last.closed)}
    return _refuse(entry, until, **evidence)


def open_at(entry: History, facts: Facts, t: Instant) -> list[Situation]:
    """The situations that are open at `t` and, by `while_open`, refuse for as long as they are."""
    if not entry.while_open or entry.lapses is None:
        return []
    found = facts.situations.get(entry.situation or "", ())
    return [situation for situation in found if situation.closed is None and t < situation.opened + entry.lapses]


def _refuses(entry: History, situation: Situation, t: Instant) -> bool:
    return t < _over(entry, situation)


def _over(entry: History, situation: Situation) -> Instant:
    """The instant from which the situation no longer refuses, as far as it is known now."""
    end = situation.closed
    if end is None and entry.while_open and entry.lapses is not None:
        end = situation.opened + entry.lapses
    return max(situation.opened, situation.opened if end is None else end) + entry.within


def _refuse(entry: History, until: Instant | None, **evidence: str | None) -> Verdict:
    if entry.drops:
        return deny(NAME, Reason.CONTACT_HISTORY, entry.id, until=until, **evidence)
    return defer(NAME, Reason.CONTACT_HISTORY, entry.id, until, **evidence)

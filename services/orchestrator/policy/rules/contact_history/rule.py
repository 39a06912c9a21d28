"""Refuses messages too soon after other contacts, or during and after a situation such as an open complaint.

Each entry of the policy's section says which messages it concerns, what it looks back at, how long it refuses, and
whether it drops or defers. While a situation is open its end is unknown: a deferred message is parked then.
"""

from collections.abc import Sequence
from functools import lru_cache

from schemas.decision import Verdict
from schemas.facts import Situation
from schemas.times import Instant, format_duration
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import HistoryRule
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.contact_history.declaration import CONTACT_HISTORY, ID
from services.orchestrator.policy.rules.definition import SituationCause, SituationRefusal
from services.orchestrator.policy.verdicts import ALLOW, allow, defer, deny, instant_text

_ALLOW_WITHOUT_ENTRIES = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each entry that applies to the candidate."""
    histories = candidate.applicable.histories
    if not histories:
        return _ALLOW_WITHOUT_ENTRIES
    return tuple(
        [
            _evaluate_contacts(entry, candidate, t)
            if entry.contacts is not None
            else evaluate_situation(entry, facts, t)
            for entry in histories
        ]
    )


def _evaluate_contacts(entry: HistoryRule, candidate: Candidate, t: Instant) -> Verdict:
    contacts = candidate.contacts
    t = contacts.evaluation_time(t)
    times = contacts.times_by_slot[entry.slot]
    free = free_instants.next_free_after_each(times, entry.within, t)
    if free == t:
        contacts.require_complete_since(t - entry.within)
        return _allow_entry(entry)
    last = max(at for at in times if at <= t)
    return _refuse(entry, free, contact=instant_text(last))


def evaluate_situation(entry: HistoryRule, facts: Facts, t: Instant) -> Verdict:
    """Refuses until `within` after the end of the last situation; while one is open, `until` is unknown."""
    if not facts.suppressions.situations:
        return _allow_entry(entry)
    refusing = [
        situation
        for situation in facts.situations_by_kind.get(entry.situation or "", ())
        if _refuses(entry, situation, t)
    ]
    if not refusing:
        return _allow_entry(entry)
    until = None if _open_situations(entry, facts, t) else max(_refusal_end(entry, situation) for situation in refusing)
    last = refusing[-1]
    evidence = {
        "situation": last.kind,
        "opened": instant_text(last.opened),
        "closed": instant_text(last.closed),
    }
    return _refuse(entry, until, **evidence)


def list_wait_causes(verdict: Verdict, candidate: Candidate, facts: Facts, t: Instant) -> Sequence[SituationCause]:
    """The open situations for which the entry of a parking verdict refuses."""
    return [
        SituationCause(situation.kind, situation.ref, situation.opened + (entry.lapses or 0))
        for entry in candidate.applicable.histories
        if entry.id == verdict.id
        for situation in _open_situations(entry, facts, t)
    ]


def list_situation_refusals(facts: Facts, t: Instant) -> Sequence[SituationRefusal]:
    """What each entry that looks back at situations refuses at `t`."""
    asked = [
        (entry, evaluate_situation(entry, facts, t))
        for entry in facts.policy.histories
        if entry.situation is not None and entry.id not in facts.policy.shadow_ids
    ]
    return [
        SituationRefusal(entry.id, entry.situation or "", entry.scope, entry.drops, verdict.until)
        for entry, verdict in asked
        if verdict.verdict != ALLOW
    ]


def _allow_entry(entry: HistoryRule) -> Verdict:
    return _allow(entry.id, entry.within, entry.situation, entry.contacts_in_words)


@lru_cache(maxsize=8192)
def _allow(id: str, within: int, situation: str | None, contacts: str) -> Verdict:
    what = {"contacts": contacts} if situation is None else {"situation": situation}
    return Verdict(ID, id, ALLOW, None, None, {**what, "within": format_duration(within)})


def _open_situations(entry: HistoryRule, facts: Facts, t: Instant) -> list[Situation]:
    """The situations that are open at `t` and, by `while_open`, refuse for as long as they are."""
    if not entry.while_open or entry.lapses is None:
        return []
    found = facts.situations_by_kind.get(entry.situation or "", ())
    return [situation for situation in found if situation.closed is None and t < situation.opened + entry.lapses]


def _refuses(entry: HistoryRule, situation: Situation, t: Instant) -> bool:
    return t < _refusal_end(entry, situation)


def _refusal_end(entry: HistoryRule, situation: Situation) -> Instant:
    """The instant from which the situation no longer refuses, as far as it is known now."""
    end = situation.closed
    if end is None and entry.while_open and entry.lapses is not None:
        end = situation.opened + entry.lapses
    return max(situation.opened, situation.opened if end is None else end) + entry.within


def _refuse(entry: HistoryRule, until: Instant | None, **evidence: str | None) -> Verdict:
    if entry.drops:
        return deny(ID, CONTACT_HISTORY, entry.id, until=until, **evidence)
    return defer(ID, CONTACT_HISTORY, entry.id, until, **evidence)

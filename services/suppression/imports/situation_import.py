"""What an import of situations does to its rows: what the events that open and close them do, by their functions.

Intervals of one kind and ref stand in the order in which they arrived, and the last one is the one that may be open. So
a row that would stand behind a later one is refused: it could never be told from the case that is open now. An import
closes no case that is open here either: messages may wait for its end, and only an event looks at them again.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from schemas.documents import DocumentError, did_you_mean
from schemas.facts import Situation
from schemas.own_events import SITUATION_OPENED
from schemas.times import Instant
from services.bulk_import import row_results
from services.bulk_import.event_rows import EventRow, check_names, make_event_row, read_time
from services.bulk_import.import_series import ImportSeries
from services.bulk_import.import_steps import AppliedRows, CountedImport
from services.bulk_import.import_store import ImportJob, ImportStore
from services.bulk_import.row_results import RowResult
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.kit.runtime.clock import Clock
from services.suppression import suppression_state as states
from services.suppression.imports.situation_columns import SITUATION_FIELDS, SITUATION_LAYOUT
from services.suppression.situation_intervals import (
    IntervalUpdate,
    SituationKinds,
    SituationRef,
    SituationTransitions,
    apply_transitions,
    canonical_ref,
)
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import situation_store as history
from services.suppression.store import state_store as store
from services.suppression.store.situation_store import SituationHistoryRow
from services.suppression.suppression_enforcement import EVERY_ATTEMPT, SuppressionEnforcer
from services.suppression.suppression_state import SuppressionState

SITUATION_IMPORTS: Final = ImportStore("situation_import")
MAX_SITUATIONS: Final = 1000
"""Situations of one customer beyond which an import adds none: each decision reads them all."""
_WAITING: Final = "messages that were being handed over before the last row was applied are not through yet"


class ImportedCase(NamedTuple):
    """A row: the event that opens the situation, and when it was closed, if it was."""

    opening: EventRow
    situation: SituationRef
    closed: Instant | None

    @property
    def opened(self) -> Instant:
        """When it began."""
        return self.opening.event.time

    @property
    def opening_key(self) -> tuple[str, str, str, Instant]:
        """What the history knows its opening by."""
        return (self.opening.event.subject, *self.situation, self.opened)


class SituationImport(CountedImport):
    """The import of situations (see `ImportSteps`)."""

    layout = SITUATION_LAYOUT
    kind = "situations"

    def __init__(
        self,
        kinds: SituationKindsCache,
        erased: ErasedCustomers,
        enforcer: SuppressionEnforcer,
        clock: Clock,
        series: ImportSeries,
        count_questions: Callable[[], int],
    ) -> None:
        """`count_questions`: how many questions of decisions there were so far."""
        super().__init__(series)
        self._kinds = kinds
        self._erased = erased
        self._enforcer = enforcer
        self._clock = clock
        self.count_questions = count_questions

    def read_row(self, job: ImportJob, plain: object) -> ImportedCase:
        """The opening and the end of a row; which kinds there are is asked when it is applied. Raises DocumentError."""
        fields = check_names(plain, SITUATION_FIELDS)
        if fields.get("opened") is None:
            raise DocumentError([("/opened", "missing", "say when it began by `opened`")])
        opened = read_time(fields, "opened", job.created, job)
        closed = None if fields.get("closed") is None else read_time(fields, "closed", job.created, job)
        if closed is not None and closed < opened:
            raise DocumentError([("/closed", "out_of_order", "must not be before `opened`")])
        data = {name: fields[name] for name in ("kind", "ref", "reason") if fields.get(name) is not None}
        opening = make_event_row(job, fields, SITUATION_OPENED, opened, data)
        return ImportedCase(opening, SituationRef(data["kind"], canonical_ref(data.get("ref"))), closed)

    async def apply(self, tx: Tx, job: ImportJob, rows: Sequence[tuple[int, ImportedCase]]) -> AppliedRows:
        """Apply the rows in their order; in a dry run all is taken back, but for the results."""
        kinds = await self._kinds.current(tx)
        async with tx.savepoint() as take_back:
            known = await store.lock_states(tx, {row.opening.event.subject for _, row in rows}, self._erased)
            before = dict(known)
            openings = await history.find_openings(tx, [row.opening_key for _, row in rows])
            results, changes = list[RowResult](), list[SituationHistoryRow]()
            for number, row in rows:
                state = known.get(row.opening.event.subject)
                if state is None:
                    results.append(row_results.refuse_erased(number))
                    continue
                try:
                    update = add_situation(state, row, kinds, job.created, is_known=row.opening_key in openings)
                except DocumentError as error:
                    results.append(row_results.refuse_row(number, row.opening.plain, error, self.layout))
                    continue
                results.append(RowResult(number, "exists" if update is None else "added"))
                if update is not None:
                    known[row.opening.event.subject] = states.with_situations(state, update.intervals)
                    changes += _history_rows(row, row.opening.numbered(number).id, update)
            if job.dry_run:
                await take_back()
            else:
                await store.save_states(tx, [each for name, each in known.items() if each is not before[name]])
                await history.record_changes(tx, changes, self._clock.now())
        return AppliedRows(results)

    async def find_waiting(self, job: ImportJob) -> str | None:
        """Whether messages that the situations forbid may still be under way."""
        if not job.added:
            return None
        return None if (await self._enforcer.enforce([EVERY_ATTEMPT], "suppression")).enforced else _WAITING


def add_situation(
    state: SuppressionState, row: ImportedCase, kinds: SituationKinds, now: Instant, *, is_known: bool
) -> IntervalUpdate | None:
    """The customer's intervals with the one of the row; None when it is known already.

    `is_known`: the history has an opening of this kind and ref at this instant. Raises DocumentError for a kind that
    the policy does not have, and for an interval that is known otherwise, or is not the last one of its kind and ref.
    """
    if row.situation.kind not in kinds.lapses:
        similar = did_you_mean(row.situation.kind, kinds.lapses)
        raise DocumentError(
            [("/kind", "unknown_kind", f"the active policy defines no situation of this kind{similar}")]
        )
    same = [each for each in state.situations if (each.kind, each.ref) == row.situation]
    of_same_time = [each for each in same if each.opened == row.opened]
    if of_same_time:
        _check_end(of_same_time[-1], row, kinds)
        return None
    if is_known:
        detail = "this case was known here, and has been withdrawn, corrected or outdated since: it stays so"
        raise DocumentError([("/opened", "later_choice", detail)])
    if same and row.closed is None and kinds.is_open(same[-1], now):
        return None
    if same and not _is_over(same[-1], row.opened, kinds):
        detail = "a case of this kind and ref that ends later is known: give this one a ref of its own, or leave it out"
        raise DocumentError([("/opened", "later_case", detail)])
    if len(state.situations) >= MAX_SITUATIONS:
        raise DocumentError([("", "too_many", f"the customer would have more than {MAX_SITUATIONS} situations")])
    return _open_and_close(state, row, kinds)


def _open_and_close(state: SuppressionState, row: ImportedCase, kinds: SituationKinds) -> IntervalUpdate:
    """What the two events of the row do: one that opens, and one that closes."""
    opening = SituationTransitions((), (row.situation,))
    opened = apply_transitions(state.situations, opening, row.opened, kinds)
    if row.closed is None:
        return opened
    closed = apply_transitions(opened.intervals, SituationTransitions((row.situation,), ()), row.closed, kinds)
    return IntervalUpdate(closed.intervals, (*opened.changes, *closed.changes), closed.ignored)


def _check_end(known: Situation, row: ImportedCase, kinds: SituationKinds) -> None:
    """Raise DocumentError unless the case that is known ended as the row says. One that says of no end adds nothing."""
    if row.closed is None or row.closed == known.closed:
        return
    if known.closed is not None:
        detail = "this case is known with another end: correct it by hand, or leave the row out"
    elif kinds.is_open(known, row.closed):
        detail = "this case is open here: close it by an event or by hand, so that messages that wait for its end are "
        detail += "looked at again"
    else:
        return  # it had lapsed before
    raise DocumentError([("/closed", "known_otherwise", detail)])


def _is_over(known: Situation, at: Instant, kinds: SituationKinds) -> bool:
    """Whether the interval had ended at an instant."""
    return at >= known.closed if known.closed is not None else not kinds.is_open(known, at)


def _history_rows(row: ImportedCase, id: str, update: IntervalUpdate) -> list[SituationHistoryRow]:
    event, reason = row.opening.event, row.opening.checked.data.get("reason")
    times = {"opened": row.opened, "closed": row.closed}
    return [
        SituationHistoryRow(
            row.opening.event.subject, change, times[change.action] or row.opened, event.source, id, reason
        )
        for change in update.changes
    ]

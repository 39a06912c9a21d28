"""What imports of customers and of consents do to their rows: what the events of log and API do, by their functions."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.consent_evidence import GRANTED, LEGAL_BASES
from schemas.documents import DocumentError
from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED
from schemas.policy_topics import PolicyTopics
from schemas.service_api import AttemptScope
from schemas.times import format_instant
from services.bulk_import import row_results
from services.bulk_import.event_rows import EventRow, check_names, check_word, make_event_row, read_time
from services.bulk_import.import_series import ImportSeries
from services.bulk_import.import_steps import AppliedRows, CountedImport
from services.bulk_import.import_store import ImportJob, ImportStore
from services.bulk_import.row_formats import RowLayout
from services.bulk_import.row_results import RowResult
from services.clients.opt_out_barrier import OptOutBarrier
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.kit.errors import Invalid
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.preference import store
from services.preference.consents.consent_terms import ConsentTerms
from services.preference.consumer import merge_event
from services.preference.editor import check_additions
from services.preference.facts_endpoint import PreferenceFacts
from services.preference.imports.row_layouts import (
    CONSENT_FIELDS,
    CONSENT_LAYOUT,
    CONSENT_STATUSES,
    CUSTOMER_FIELDS,
    CUSTOMER_LAYOUT,
    OPTED_OUT,
)
from services.preference.preference_errors import Overgrown
from services.preference.preference_state import PreferenceChange, PreferenceState, to_change

CUSTOMER_IMPORTS: Final = ImportStore("customer_import")
CONSENT_IMPORTS: Final = ImportStore("consent_import")
IMPORT: Final = "import"
"""The source of changes that imports make."""
MAX_CONSENTS: Final = 1000
"""Consents, and opt-outs, of one customer: as many as a document of the API may have."""
_WAITING: Final = "messages that were being handed over before the last row was applied are not through yet"
_EVERY_ATTEMPT: Final = AttemptScope()


class PreferenceImport(CountedImport):
    """What both kinds share (see `ImportSteps`)."""

    layout: RowLayout

    def __init__(
        self,
        clock: Clock,
        region: str | None,
        erased: ErasedCustomers,
        terms: ConsentTerms,
        facts: PreferenceFacts,
        series: ImportSeries,
        barrier: OptOutBarrier,
    ) -> None:
        """`facts`: answers decisions; an import gives way to them."""
        super().__init__(series)
        self._clock = clock
        self._region = region
        self._erased = erased
        self._terms = terms
        self._facts = facts
        self._barrier = barrier
        self._loop_share = LoopShare()

    @abstractmethod
    def read_row(self, job: ImportJob, plain: object) -> EventRow:
        """The event of a row. Raises DocumentError."""

    @abstractmethod
    def make_change(self, row: EventRow, job: ImportJob) -> PreferenceChange:
        """The change that the row asks for."""

    @abstractmethod
    def check_edit(self, row: EventRow, edit: store.StateUpdate, topics: PolicyTopics | None) -> None:
        """Raises DocumentError or Invalid for a change that may not be."""

    @abstractmethod
    def describe_unchanged(
        self, row: EventRow, change: PreferenceChange, state: PreferenceState
    ) -> DocumentError | None:
        """Why a row changed nothing: None if it was so already."""

    async def apply(self, tx: Tx, job: ImportJob, rows: Sequence[tuple[int, EventRow]]) -> AppliedRows:
        """Apply the rows in their order; in a dry run all is taken back, but for the results."""
        async with tx.savepoint() as take_back:
            states = await store.lock_states(tx, {row.event.subject for _, row in rows}, self._region, self._erased)
            topics = await store.get_topics(tx)
            results, edits = list[RowResult](), list[store.StateUpdate]()
            for number, row in rows:
                await self._loop_share.give_turn_if_due()
                before = states.get(row.event.subject)
                if before is None:
                    results.append(row_results.refuse_erased(number))
                    continue
                result, edit = self._apply_row(job, number, row, before, topics)
                results.append(result)
                if edit is not None:
                    states[row.event.subject] = edit.after
                    edits.append(edit)
            if job.dry_run:
                await take_back()
            else:
                await store.save_updates(tx, edits)
        return AppliedRows(results)

    def _apply_row(
        self, job: ImportJob, number: int, row: EventRow, before: PreferenceState, topics: PolicyTopics | None
    ) -> tuple[RowResult, store.StateUpdate | None]:
        change = self.make_change(row, job)
        try:
            edit = merge_event(
                before, row.numbered(number), change, job.requested_by, self._clock.now(), cause_source=IMPORT
            )
            if edit is None:
                problem = self.describe_unchanged(row, change, before)
                if problem is not None:
                    raise problem
                return RowResult(number, "exists"), None
            self.check_edit(row, edit, topics)
        except DocumentError as error:
            return row_results.refuse_row(number, row.plain, error, self.layout), None
        except Invalid as error:
            return row_results.refuse_row(number, row.plain, _to_document_error(error), self.layout), None
        is_same = msgspec.structs.replace(edit.after.preference, version=before.version) == before.preference
        return RowResult(number, "exists" if is_same else "added"), edit

    def count_questions(self) -> int:
        """How often decisions have asked this process for facts."""
        return self._facts.questions


def _to_document_error(error: Invalid) -> DocumentError:
    """The problem of an edit, at the place in the row where it is."""
    if not error.errors:
        return DocumentError([("", error.code, error.detail)])
    first = error.errors[0]
    if isinstance(error, Overgrown):
        return DocumentError([(first.pointer.removeprefix("/data"), error.code, first.detail)])
    return DocumentError([(f"/{first.pointer.rpartition('/')[2]}", first.code, first.detail)])


class CustomerImport(PreferenceImport):
    """Traits, language, time zone, country and addresses: each row is `tactful.customer.identified`."""

    layout = CUSTOMER_LAYOUT
    kind = "customers"

    def read_row(self, job: ImportJob, plain: object) -> EventRow:
        """The event of a row. Raises DocumentError."""
        fields = check_names(plain, CUSTOMER_FIELDS)
        data = {name: value for name, value in fields.items() if name not in ("customer", "at") and value is not None}
        if not data:
            raise DocumentError([("", "empty", "the row says nothing of the customer: fill in at least one field")])
        return make_event_row(job, fields, CUSTOMER_IDENTIFIED, read_time(fields, "at", job.created, job), data)

    def make_change(self, row: EventRow, job: ImportJob) -> PreferenceChange:
        """The change of the event."""
        change = to_change(row.event, row.checked, self._terms)
        assert change is not None  # read_row has refused events that ask for nothing
        return change

    def check_edit(self, row: EventRow, edit: store.StateUpdate, topics: PolicyTopics | None) -> None:
        """Refuses addresses that cannot be used. Raises DocumentError."""
        given = {(each["channel"], each["address"]) for each in row.checked.data.get("addresses", ())}
        for address in edit.after.preference.addresses:
            if address.problem is not None and (address.channel, address.address) in given:
                detail = "this address cannot be used on its channel; docs/addresses.md has the forms"
                raise DocumentError([("/addresses", "unusable_address", detail)])

    def describe_unchanged(
        self, row: EventRow, change: PreferenceChange, state: PreferenceState
    ) -> DocumentError | None:
        """All that the row says has been set later."""
        detail = "all that this row says has been set at a later time, by the customer or an event, and stays as it is"
        return DocumentError([("/at", "later_choice", detail)])


class ConsentImport(PreferenceImport):
    """Consents, refusals and opt-outs: each row adds one to the customer's, by `tactful.preference.changed`."""

    layout = CONSENT_LAYOUT
    kind = "consents"

    def read_row(self, job: ImportJob, plain: object) -> EventRow:
        """The event of a row. A grant must say since when, a refusal needs nothing. Raises DocumentError, also for a
        word that is neither a grant nor a refusal.
        """
        fields = check_names(plain, CONSENT_FIELDS)
        check_word(fields, "status", CONSENT_STATUSES)
        check_word(fields, "basis", LEGAL_BASES)
        if fields.get("status") == OPTED_OUT:
            return self._read_opt_out(job, fields)
        if fields.get("class") is not None:
            raise DocumentError([("/class", "only_opt_outs", f"only a row with the status `{OPTED_OUT}` has a class")])
        if fields.get("status") == GRANTED and fields.get("at") is None:
            raise DocumentError([("/at", "missing", "a consent needs proof: say since when by `at`")])
        at = read_time(fields, "at", job.created, job)
        if fields.get("requested") is not None and read_time(fields, "requested", at, job) > at:
            raise DocumentError(
                [("/requested", "bad_time", "a customer asks before they confirm: must not be after `at`")]
            )
        entry = {name: value for name, value in fields.items() if name != "customer" and value is not None}
        entry = {"at": format_instant(at), **entry, "imported": True}
        data = {"consent": [entry]}
        # The record's own instant says which of several counts; to the list it is added now.
        return make_event_row(job, fields, PREFERENCE_CHANGED, job.created, data, "/data/consent/0")

    def _read_opt_out(self, job: ImportJob, fields: Mapping[str, Any]) -> EventRow:
        allowed = ("customer", "status", "at", "class", "channel", "topic")
        for name, value in fields.items():
            if name not in allowed and value is not None:
                raise DocumentError(
                    [(f"/{name}", "only_consents", "an opt-out has `class`, `channel`, `topic` and `at`")]
                )
        given = ("class", "channel", "topic")
        entry: dict[str, Any] = {name: fields[name] for name in given if fields.get(name) not in (None, "*")}
        at = read_time(fields, "at", job.created, job)
        data = {"opt_outs": [entry or {"all": True}]}
        return make_event_row(job, fields, PREFERENCE_CHANGED, at, data, "/data/opt_outs/0")

    def make_change(self, row: EventRow, job: ImportJob) -> PreferenceChange:
        """The change of the event, whose entry joins those that are there."""
        added = frozenset({"consent", "opt_outs"})
        change = to_change(row.event, msgspec.structs.replace(row.checked, added=added), self._terms)
        assert change is not None  # read_row has refused events that ask for nothing
        return change

    def check_edit(self, row: EventRow, edit: store.StateUpdate, topics: PolicyTopics | None) -> None:
        """As an edit over HTTP is checked. Raises Invalid and DocumentError."""
        after = edit.after.preference
        check_additions(edit.before.preference, after, topics)
        if max(len(after.consent), len(after.opt_outs)) > MAX_CONSENTS:
            raise DocumentError([("", "too_many", f"the customer would have more than {MAX_CONSENTS} of them")])

    def describe_unchanged(
        self, row: EventRow, change: PreferenceChange, state: PreferenceState
    ) -> DocumentError | None:
        """The entry is there, or the customer's list was set later."""
        if all(entry in getattr(state.preference, name) for name, entries in change.add.items() for entry in entries):
            return None
        detail = "the customer's list of these was set at a later time, and stays as it is"
        return DocumentError([("/at", "later_choice", detail)])

    async def find_waiting(self, job: ImportJob) -> str | None:
        """Whether messages that the opt-outs forbid may still be under way."""
        if not job.added:
            return None
        done = await self._barrier.wait_until_enforced([_EVERY_ATTEMPT], _EVERY_ATTEMPT)
        return None if done.enforced else _WAITING

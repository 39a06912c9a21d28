"""What an import of past contacts does to its rows: what `tactful.contact.reported` does, by its functions.

A contact is told from others by what the row says, or by the other tool's id of the message where the row has one: so
the same file again adds nothing, whichever import brought it first. A contact triggers no campaign, and so sends
nothing; like a reported one it counts in caps, gaps and contact history from the commit of its part on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from schemas.documents import DocumentError, validate_document
from schemas.fields import Document, Text
from schemas.own_events import CONTACT_REPORTED
from services.bulk_import import row_results
from services.bulk_import.event_rows import EventRow, check_names, make_event_row, read_time
from services.bulk_import.import_series import ImportSeries
from services.bulk_import.import_steps import AppliedRows, CountedImport
from services.bulk_import.import_store import ImportJob, ImportStore
from services.bulk_import.row_results import RowResult
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.contact_imports.contact_columns import CONTACT_FIELDS, CONTACT_LAYOUT
from services.orchestrator.decisions import store
from services.orchestrator.decisions.reported_contact import read_reported_contact
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Contact, Ledger

CONTACT_IMPORTS: Final = ImportStore("contact_import")
CONTACT_SOURCE: Final = "imports/contacts"
"""The source of the events that rows stand for, in every import: by it and the id contacts are known again."""
MAX_CONTACTS: Final = 5_000
"""Contacts of one customer beyond which an import adds none: decisions read the ledger, and sometimes the history."""
_SAID: Final = ("at", "channel", "class", "intent", "topic", "campaign")


class _GivenId(Document):
    """What the other tool calls the message."""

    id: Text


class ContactRow(NamedTuple):
    """A row, and the contact that it reports."""

    row: EventRow
    contact: Contact

    @property
    def subject(self) -> str:
        """The id of who was contacted."""
        return self.row.event.subject


@dataclass
class KnownContacts:
    """What is known of the customers of a part, while its rows are applied.

    `ledgers`: without those of erased customers. `held`: how many contacts each has, in the ledger or the history.
    `reports`: the contacts of rows that are known already.
    """

    ledgers: dict[str, Ledger]
    held: dict[str, int]
    reports: dict[store.ReportedKey, Contact]


class ContactImport(CountedImport):
    """The import of past contacts (see `ImportSteps`)."""

    layout = CONTACT_LAYOUT
    kind = "contacts"

    def __init__(
        self, erased: ErasedCustomers, clock: Clock, series: ImportSeries, count_questions: Callable[[], int]
    ) -> None:
        """`count_questions`: how many batches this process has decided so far."""
        super().__init__(series)
        self._erased = erased
        self._clock = clock
        self.count_questions = count_questions

    def read_row(self, job: ImportJob, plain: object) -> ContactRow:
        """The contact of a row. Raises DocumentError."""
        fields = check_names(plain, CONTACT_FIELDS)
        if fields.get("at") is None:
            raise DocumentError([("/at", "missing", "say when the customer was contacted by `at`")])
        at = read_time(fields, "at", job.created, job)
        data = {name: fields[name] for name in _SAID if name != "at" and fields.get(name) is not None}
        row = make_event_row(job, fields, CONTACT_REPORTED, at, data)
        event = msgspec.structs.replace(row.event, source=CONTACT_SOURCE, id=_contact_id(fields, at, row.checked.data))
        contact = read_reported_contact(event, row.checked.data)
        assert contact is not None  # the event has no problem, so it reports one
        return ContactRow(row._replace(event=event), contact)

    async def apply(self, tx: Tx, job: ImportJob, rows: Sequence[tuple[int, ContactRow]]) -> AppliedRows:
        """Apply the rows under the locks of their customers' ledgers; in a dry run all is taken back, but for the
        results.
        """
        async with tx.savepoint() as take_back:
            customers = sorted({row.subject for _, row in rows})
            known = await self._load_known(tx, customers, rows)
            before, added, results = dict(known.ledgers), list[tuple[str, Contact]](), list[RowResult]()
            for number, row in rows:
                result = _apply_row(number, row, known)
                results.append(result)
                if result.outcome == "added":
                    added.append((row.subject, row.contact))
            if job.dry_run:
                await take_back()
            else:
                changed = {name: each for name, each in known.ledgers.items() if each is not before[name]}
                await store.save_ledgers(tx, changed)
                await store.insert_reported_contacts(tx, added, self._clock.now())
                await store.delete_unused_ledgers(tx, [name for name in customers if name not in changed])
        return AppliedRows(results)

    async def _load_known(
        self, tx: Tx, customers: Sequence[str], rows: Sequence[tuple[int, ContactRow]]
    ) -> KnownContacts:
        """Lock the ledgers of the customers, and read what the rows are compared with."""
        versions = await store.lock_ledgers(tx, customers, customers)
        gone = await self._erased.among(tx, [name for name, version in versions.items() if not version])
        loaded = await store.load_ledgers(tx, customers)
        ledgers = {name: each.ledger for name, each in loaded.items() if name not in gone}
        trimmed = [name for name, ledger in ledgers.items() if ledger.complete_from > BEGINNING_OF_TIME]
        held = {name: len(ledger) for name, ledger in ledgers.items()} | await store.count_history_rows(tx, trimmed)
        keys = [(row.subject, row.contact.message_id) for _, row in rows]
        return KnownContacts(ledgers, held, await store.find_reported_contacts(tx, keys))


def _apply_row(number: int, row: ContactRow, known: KnownContacts) -> RowResult:
    """The result of a row, whose contact is added to what is known."""
    ledger, key, contact = known.ledgers.get(row.subject), (row.subject, row.contact.message_id), row.contact
    if ledger is None:
        return row_results.refuse_erased(number)
    if (same := known.reports.get(key)) is not None:
        if (same.at, same.attributes) == (contact.at, contact.attributes):
            return RowResult(number, "exists")
        detail = "another contact of this id is known, which says something else: leave the row out, or mend its id"
        return _refuse_row(number, row, ("/id", "id_reused", detail))
    if known.held[row.subject] >= MAX_CONTACTS:
        return _refuse_row(number, row, ("", "too_many", f"the customer would have more than {MAX_CONTACTS} contacts"))
    known.reports[key] = contact
    known.held[row.subject] += 1
    if contact.at >= ledger.complete_from:  # what is older no rule looks at; the history has it all the same
        known.ledgers[row.subject] = ledger.put_reported_contact(contact)
    return RowResult(number, "added")


def _refuse_row(number: int, row: ContactRow, problem: tuple[str, str, str]) -> RowResult:
    return row_results.refuse_row(number, row.row.plain, DocumentError([problem]), CONTACT_LAYOUT)


def _contact_id(fields: Mapping[str, Any], at: int, data: Mapping[str, Any]) -> str:
    """By what the contact is known again: the id that the row gives, or else all that it says. Raises DocumentError."""
    if fields.get("id") is not None:
        return f"id {validate_document(_GivenId, {'id': fields['id']}).id}"
    said = [at, *(data.get(name) for name in _SAID if name != "at")]
    return f"said {hashlib.sha256(msgspec.json.encode(said)).hexdigest()}"

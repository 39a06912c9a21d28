"""Which rows of the orchestrator are removed when a customer is erased, and what of them stays for counts and audits.

What stays are decisions, messages, attempts, contacts and violations: outcomes and reasons under the customer's
pseudonym, without addresses, contents, evidence and what providers said; ids of events become pseudonyms too. Whatever
waits is ended and never sent. A message that is being handed over is waited for, so that its attempt ends in the ledger
as any other; then it becomes anonymous as well.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.decision import Decision
from schemas.vocabulary import MessageState
from services.erasure.batches import MOST_ROWS, bounded
from services.erasure.eraser import EraseStep, Subject, changes, delete_dead_letters, delete_stored_answers, deletes
from services.erasure.mentions import is_mentioned
from services.erasure.pseudonyms import Pseudonyms
from services.kit.db.database import Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import message_life
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.store import ERASED_SOURCE, shard_of

ERASED_DETAIL: Final = "erased"
"""`detail` of a message that was ended because its customer was erased."""
_WAITING: Final = (MessageState.PLANNED, MessageState.PARKED, MessageState.PENDING, MessageState.RETRY)
_WAITING_SQL: Final = f"state IN ({', '.join(repr(state.value) for state in _WAITING)})"
_IN_FLIGHT_SQL: Final = f"state = '{MessageState.HANDING_OVER.value}'"
_OF_CUSTOMER: Final = "customer = :customer"
_STRIPPED_REPLY: Final = (
    "customer = :pseudonym, text = NULL, address = NULL, owes = NULL, "
    "state = CASE WHEN state = 'undecided' THEN 'erased' ELSE state END"
)
_STRIPPED_VIOLATION: Final = (
    "customer = :pseudonym, subject = CASE WHEN subject = :customer THEN :pseudonym ELSE subject END, detail = ''"
)
_RENAME_CONTACTS: Final = changes("contact_history", "customer = :pseudonym")
_SIMULATION_TEXTS: Final = ("asked", "request", "notes", "result", "picture", "error")
_decode_decision = msgspec.msgpack.Decoder(Decision).decode
_encode_decision = msgspec.msgpack.Encoder().encode


class OrchestratorErasure:
    """The steps of an erasure in this service, in order."""

    def __init__(self, pseudonyms: Pseudonyms, clock: Clock) -> None:
        self._pseudonyms = pseudonyms
        self._clock = clock

    def steps(self) -> Sequence[EraseStep]:
        """Letters first (a redrive may be at work), stored events only once no message needs them any more."""
        return (
            delete_dead_letters,
            self._end_waiting_messages,
            self._strip_messages,
            _forget_outgoing,
            _rename_ledger,
            self._strip_decisions,
            deletes("inbox"),
            deletes("accepted_event"),
            deletes("shadow_sample"),
            deletes("sandbox_message"),
            deletes("app_message"),
            deletes("app_message_head"),
            # Undecided replies need no decision any more: all addresses of who is erased are blocked.
            changes("undecided_reply", _STRIPPED_REPLY),
            changes("violation", _STRIPPED_VIOLATION),
            _delete_simulations,
            _strip_redrives,
            deletes("subject_export"),  # before the parts: a job at work notices, and writes none any more
            deletes("subject_export_part"),
            delete_stored_answers,
        )

    async def _end_waiting_messages(self, tx: Tx, subject: Subject) -> int:
        """Step: end what waits, under the ledger's lock, so that nobody can claim or evaluate it meanwhile.

        A message that is parked may be of a customer without a ledger, who gets one here to be locked.
        """
        customer, now = subject.customer, self._clock.now()
        waiting = (
            f"SELECT message_id, maybe_sent FROM message WHERE {_OF_CUSTOMER} AND {_WAITING_SQL} LIMIT {MOST_ROWS}"
        )
        if await tx.row(waiting, customer=customer) is None:
            return 0
        await ledger_store.lock_ledgers(tx, [customer], [customer])
        locked = await ledger_store.lock_and_load_ledgers(tx, [customer])
        rows = await tx.rows(waiting, customer=customer)
        if not rows:
            return 0
        await tx.execute(
            "UPDATE message SET state = CASE WHEN maybe_sent = 1 THEN :unknown ELSE :suppressed END, until = NULL, "
            f"maybe_sent = 0, detail = :detail, updated = :now WHERE {tx.in_list('message_id', 'ids')}",
            unknown=MessageState.UNKNOWN.value,
            suppressed=MessageState.SUPPRESSED.value,
            detail=ERASED_DETAIL,
            now=now,
            ids=tx.list_parameter([row.message_id for row in rows]),
        )
        before = {name: each.ledger for name, each in locked.items()}
        after = dict(before)
        for row in rows:
            if customer in after and not row.maybe_sent:  # one that may have arrived counts on
                after[customer] = after[customer].release(row.message_id)
        await ledger_store.save_ledger_changes(tx, before, after, now)
        await _delete_queues(tx, subject, [row.message_id for row in rows])
        return len(rows)  # counted when they are made anonymous

    async def _strip_messages(self, tx: Tx, subject: Subject) -> int | None:
        """Step: make ended messages anonymous; wait while one is being handed over."""
        rows = await tx.rows(
            f"SELECT message_id, event_source, event_id, handover_id FROM tracked_message WHERE {_OF_CUSTOMER} "
            f"AND NOT {_WAITING_SQL} AND NOT {_IN_FLIGHT_SQL} LIMIT {MOST_ROWS}",
            customer=subject.customer,
        )
        if not rows:
            left = await tx.row(f"SELECT 1 FROM message WHERE {_OF_CUSTOMER} LIMIT 1", customer=subject.customer)
            return 0 if left is None else None
        ids = [row.message_id for row in rows]
        kinds = {"message_id": "text", "event_id": "text"}
        events = [(row.message_id, self._pseudonyms.of_event(row.event_source, row.event_id)) for row in rows]
        await tx.execute(
            "UPDATE message SET customer = :pseudonym, event_source = :source, event_id = k.event_id, "
            "address_hash = NULL, to_address = NULL, locale = NULL, provider_id = NULL, content = NULL, "
            f"detail = CASE WHEN state = :suppressed THEN detail END FROM {tx.table_parameter('k', kinds)} "
            "WHERE message.message_id = k.message_id",
            pseudonym=subject.pseudonym,
            source=ERASED_SOURCE,
            suppressed=MessageState.SUPPRESSED.value,
            **tx.bind_table_parameter("k", kinds, events),
        )
        subject.note("message", len(rows))
        await _strip_handovers(tx, subject, {row.handover_id for row in rows if row.handover_id is not None}, set(ids))
        await _strip_what_follows(tx, subject, ids)
        await _delete_queues(tx, subject, ids)
        return len(rows)

    async def _strip_decisions(self, tx: Tx, subject: Subject) -> int:
        """Step: keep what was decided and why, without the evidence and the events. With the contacts, which an audit
        reads beside.
        """
        rows = await tx.rows(
            f"SELECT decision_id, body FROM decision WHERE {_OF_CUSTOMER} ORDER BY decision_id LIMIT {MOST_ROWS}",
            customer=subject.customer,
        )
        await tx.execute_many(
            "UPDATE decision SET customer = :pseudonym, event_source = :source, event_id = :event_id, body = :body, "
            "event_type = NULL, event_time = NULL, event = NULL, "
            "log_topic = NULL, log_partition = NULL, log_offset = NULL "
            "WHERE decision_id = :decision_id",
            [self._anonymous_row(row, subject.pseudonym) for row in rows],
        )
        subject.note("decision", len(rows))
        return len(rows) + (await _RENAME_CONTACTS(tx, subject) or 0)

    def _anonymous_row(self, row: Any, pseudonym: str) -> dict[str, object]:
        decision = _decode_decision(row.body)
        event_id = self._pseudonyms.of_event(decision.event.source, decision.event.id)
        anonymous = msgspec.structs.replace(
            decision,
            customer=pseudonym,
            event=msgspec.structs.replace(decision.event, source=ERASED_SOURCE, id=event_id),
            verdicts=tuple(msgspec.structs.replace(each, evidence={}) for each in decision.verdicts),
        )
        return {
            "pseudonym": pseudonym,
            "source": ERASED_SOURCE,
            "event_id": event_id,
            "body": _encode_decision(anonymous),
            "decision_id": row.decision_id,
        }


async def _strip_what_follows(tx: Tx, subject: Subject, ids: Sequence[str]) -> None:
    """Remove or make anonymous what stands beside these messages."""
    named = tx.list_parameter(ids)
    sandbox = f"DELETE FROM sandbox_message WHERE {tx.in_list('message_id', 'ids')}"
    subject.note("sandbox_message", await tx.execute(sandbox, ids=named))
    attempts = await tx.execute(
        f"UPDATE attempt SET customer = :pseudonym, detail = NULL WHERE {tx.in_list('message_id', 'ids')}",
        pseudonym=subject.pseudonym,
        ids=named,
    )
    # Who is erased is not written to anyhow: no entry is made, and no event published, any more.
    receipts = await tx.execute(
        "UPDATE receipt SET customer = :pseudonym, detail = NULL, text = NULL, suppresses = NULL, published = 1 "
        f"WHERE {tx.in_list('message_id', 'ids')}",
        pseudonym=subject.pseudonym,
        ids=named,
    )
    subject.note("attempt", attempts)
    subject.note("receipt", receipts)


async def _strip_handovers(tx: Tx, subject: Subject, handovers: set[int], ids: set[str]) -> None:
    """Drop what providers said about these messages."""
    rows = await tx.rows(
        f"SELECT handover_id, results FROM handover WHERE {tx.in_list('handover_id', 'ids', 'bigint')} "
        f"AND results IS NOT NULL ORDER BY handover_id {tx.for_update}",
        ids=tx.list_parameter(sorted(handovers)),
    )
    for row in rows:
        results = msgspec.json.decode(row.results, type=dict[str, Any])
        kept = {message_id: said for message_id, said in results.items() if message_id not in ids}
        await tx.execute(
            "UPDATE handover SET results = :results WHERE handover_id = :id",
            results=msgspec.json.encode(kept).decode(),
            id=row.handover_id,
        )
        subject.note("handover", len(results) - len(kept))  # answers, of which a row has one for each message


async def _delete_queues(tx: Tx, subject: Subject, ids: Sequence[str]) -> None:
    for table in ("timer", "parked"):
        named = f"DELETE FROM {table} WHERE {tx.in_list('message_id', 'ids')}"
        subject.note(table, await tx.execute(named, ids=tx.list_parameter(ids)))
    # By shard, because the outbox is indexed by it, and not by customer.
    waiting = await tx.execute(
        f"DELETE FROM outbox WHERE shard = :shard AND {_OF_CUSTOMER}",
        shard=shard_of(subject.customer),
        customer=subject.customer,
    )
    subject.note("outbox", waiting)


async def _forget_outgoing(tx: Tx, subject: Subject) -> int:
    """Step: publish nothing more of the life of the customer's messages. After their last changes."""
    return subject.note("outgoing", await message_life.forget_customer(tx, subject.customer))


async def _rename_ledger(tx: Tx, subject: Subject) -> int:
    """Step: keep the ledger under the pseudonym. A row that stands there already is of somebody's making."""
    if await tx.row("SELECT 1 FROM ledger WHERE customer = :pseudonym", pseudonym=subject.pseudonym):
        return await deletes("ledger")(tx, subject) or 0
    return await changes("ledger", "customer = :pseudonym")(tx, subject) or 0


async def _delete_simulations(tx: Tx, subject: Subject) -> int:
    """Step: delete the simulations that mention the customer; only the newest few are kept of all."""
    found = 0
    for row in await tx.rows("SELECT id FROM simulation"):
        texts = await tx.row(f"SELECT {', '.join(_SIMULATION_TEXTS)} FROM simulation WHERE id = :id", id=row.id)
        parts = () if texts is None else (each.encode() if isinstance(each, str) else each for each in texts)
        if any(is_mentioned([subject.customer], bytes(each)) for each in parts if each is not None):
            found += await tx.execute("DELETE FROM simulation WHERE id = :id", id=row.id)
    return subject.note("simulation", found)


async def _strip_redrives(tx: Tx, subject: Subject) -> int:
    """Step: drop the words about letters that mention the customer; that a letter was redriven stays."""
    contains = "strpos(detail, :text)" if tx.dialect == "postgresql" else "instr(detail, :text)"
    where = f"{contains} > 0"
    stripped = f"UPDATE redrive_item SET detail = NULL WHERE {bounded(tx, 'redrive_item', where)}"
    return subject.note("redrive_item", await tx.execute(stripped, text=subject.customer))

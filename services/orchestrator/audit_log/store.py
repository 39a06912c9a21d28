"""SQL of the audit log."""

from typing import Any, Final

import msgspec

from schemas.audit_log import AuditEntry, AuditHead, AuditRecord, make_record
from schemas.times import Instant
from services.kit.db.database import Tx

SCANNED_AT_ONCE: Final = 20_000
"""Entries that one request for those of somebody looks at."""
_HEAD_COLUMNS = "seq, digest, at, public_key, signature"


async def append_entry(tx: Tx, entry: AuditEntry, now: Instant) -> AuditRecord:
    """Adds an entry after the last one. Whoever adds another waits until this transaction has ended."""
    row = await tx.row(f"SELECT seq, digest FROM audit_chain WHERE id = 1 {tx.for_update}")
    assert row is not None, "migration 0032 writes this row"
    record = make_record(row.digest, row.seq + 1, now, entry)
    await tx.execute(
        "INSERT INTO audit_entry (seq, body, digest) VALUES (:seq, :body, :digest)",
        seq=record.seq,
        body=record.body,
        digest=record.digest,
    )
    await tx.execute(
        "UPDATE audit_chain SET seq = :seq, digest = :digest WHERE id = 1", seq=record.seq, digest=record.digest
    )
    return record


async def list_records_after(tx: Tx, seq: int, limit: int) -> list[AuditRecord]:
    """Returns the entries after the one with this number, in order."""
    rows = await tx.rows(
        "SELECT seq, body, digest FROM audit_entry WHERE seq > :seq ORDER BY seq LIMIT :limit", seq=seq, limit=limit
    )
    return [AuditRecord(row.seq, row.body, row.digest) for row in rows]


async def list_matching_records(
    tx: Tx, seq: int, limit: int, *, name: str | None, pseudonym: str | None
) -> tuple[list[AuditRecord], int | None]:
    """Returns the entries after `seq` that somebody has caused, or that are about a customer, in order, and after which
    entry to go on; None at the end. At most `SCANNED_AT_ONCE` entries are looked at.
    """
    last = await get_last_record(tx)
    until = min(seq + SCANNED_AT_ONCE, 0 if last is None else last.seq)
    rows = await tx.rows(
        "SELECT seq, body, digest FROM audit_entry WHERE seq > :seq AND seq <= :until AND body LIKE :part ESCAPE '!'"
        " ORDER BY seq LIMIT :limit",
        seq=seq,
        until=until,
        limit=limit,
        part=f"%{_escape_like(msgspec.json.encode(pseudonym or name).decode())}%",
    )
    found = [AuditRecord(row.seq, row.body, row.digest) for row in rows]
    following = found[-1].seq if len(found) == limit else until
    wanted = [each for each in found if _is_about(each, name, pseudonym)]
    return wanted, following if last is not None and following < last.seq else None


def _is_about(record: AuditRecord, name: str | None, pseudonym: str | None) -> bool:
    entry = msgspec.json.decode(record.body, type=dict)
    is_by = name is None or name in (entry.get("name"), entry.get("person"))
    return is_by and (pseudonym is None or pseudonym in entry.get("about", ()))


def _escape_like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


async def get_last_record(tx: Tx) -> AuditRecord | None:
    """Returns the last entry."""
    row = await tx.row("SELECT seq, body, digest FROM audit_entry ORDER BY seq DESC LIMIT 1")
    return None if row is None else AuditRecord(row.seq, row.body, row.digest)


async def insert_head(tx: Tx, head: AuditHead) -> None:
    """Keeps a signed head; does nothing if one of so many entries is kept."""
    await tx.execute(
        f"INSERT INTO audit_head ({_HEAD_COLUMNS}) VALUES (:seq, :digest, :at, :public_key, :signature)"
        " ON CONFLICT (seq) DO NOTHING",
        **{name: getattr(head, name) for name in AuditHead.__struct_fields__},
    )


async def has_head(tx: Tx, seq: int) -> bool:
    """Whether a head of so many entries is kept."""
    return await tx.row("SELECT 1 FROM audit_head WHERE seq = :seq", seq=seq) is not None


async def list_heads_after(tx: Tx, seq: int, limit: int) -> list[AuditHead]:
    """Returns the signed heads of more entries than `seq`, in order."""
    rows = await tx.rows(
        f"SELECT {_HEAD_COLUMNS} FROM audit_head WHERE seq > :seq ORDER BY seq LIMIT :limit", seq=seq, limit=limit
    )
    return [_to_head(row) for row in rows]


def _to_head(row: Any) -> AuditHead:
    return AuditHead(row.seq, row.digest, row.at, row.public_key, row.signature)

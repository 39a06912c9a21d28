"""SQL of the audit log."""

from typing import Any

from schemas.audit_log import AuditEntry, AuditHead, AuditRecord, make_record
from schemas.times import Instant
from services.kit.db.database import Tx

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

"""What Alertmanager has told about each alert, so that what it says again, or late, changes nothing."""

from schemas.times import DAY, Instant
from services.kit.db.database import Tx
from services.suppression.alert_holds import Told

KEPT = 90 * DAY
"""So long after it was last heard of, an alert is forgotten."""


async def lock(tx: Tx, fingerprint: str, now: Instant) -> Told:
    """What was told about an alert; nobody else tells more until the transaction ends."""
    sql = "INSERT INTO alert (fingerprint, told) VALUES (:fingerprint, :now) ON CONFLICT (fingerprint) DO NOTHING"
    await tx.run(sql, fingerprint=fingerprint, now=now)
    row = await tx.row(
        f"SELECT started, ended FROM alert WHERE fingerprint = :fingerprint {tx.for_update}", fingerprint=fingerprint
    )
    return Told() if row is None else Told(row.started, row.ended)


async def keep(tx: Tx, fingerprint: str, told: Told, now: Instant) -> None:
    """Keep what is told about it now."""
    await tx.run(
        "UPDATE alert SET started = :started, ended = :ended, told = :now WHERE fingerprint = :fingerprint",
        started=told.started,
        ended=told.ended,
        now=now,
        fingerprint=fingerprint,
    )


async def forget(tx: Tx, now: Instant) -> None:
    """Forget alerts of long ago."""
    await tx.run("DELETE FROM alert WHERE told < :before", before=now - KEPT)

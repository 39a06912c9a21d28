"""What Alertmanager has told about each alert, so that what it says again, or late, changes nothing."""

from schemas.times import DAY, Instant
from services.kit.db.database import Tx
from services.suppression.alert_holds import AlertHistory

RETENTION = 90 * DAY
"""So long after it was last heard of, an alert is forgotten."""


async def lock_alert(tx: Tx, fingerprint: str, now: Instant) -> AlertHistory:
    """What was told about an alert; nobody else tells more until the transaction ends."""
    sql = "INSERT INTO alert (fingerprint, told) VALUES (:fingerprint, :now) ON CONFLICT (fingerprint) DO NOTHING"
    await tx.execute(sql, fingerprint=fingerprint, now=now)
    row = await tx.row(
        f"SELECT started, ended FROM alert WHERE fingerprint = :fingerprint {tx.for_update}", fingerprint=fingerprint
    )
    return AlertHistory() if row is None else AlertHistory(row.started, row.ended)


async def save_alert(tx: Tx, fingerprint: str, history: AlertHistory, now: Instant) -> None:
    """Keep what is told about it now."""
    await tx.execute(
        "UPDATE alert SET started = :started, ended = :ended, told = :now WHERE fingerprint = :fingerprint",
        started=history.started,
        ended=history.ended,
        now=now,
        fingerprint=fingerprint,
    )


async def delete_old_alerts(tx: Tx, now: Instant) -> None:
    """Forget alerts of long ago."""
    await tx.execute("DELETE FROM alert WHERE told < :before", before=now - RETENTION)

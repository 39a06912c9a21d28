"""Who hands over which shard of the outbox. A shard belongs to one dispatcher; each change of owner raises its epoch.

A lease only shares the work out. It never closes an attempt: see `recovery.py`.
"""

from collections.abc import Mapping

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.store import SHARDS

LEASE_DURATION = 10 * SECOND


async def create_leases(tx: Tx) -> None:
    """Make sure that every shard has its row."""
    for shard in range(SHARDS):
        await tx.execute(
            "INSERT INTO shard_lease (shard, epoch, owner, expires) VALUES (:shard, 0, '', 0) "
            "ON CONFLICT (shard) DO NOTHING",
            shard=shard,
        )


async def renew_leases(tx: Tx, owner: str, now: Instant) -> dict[int, int]:
    """Keep ours, take free ones up to a fair share, give back what is more. Returns shard -> epoch.

    `now` is the database's time.
    """
    await tx.execute(
        "INSERT INTO dispatcher (owner, expires) VALUES (:owner, :expires) "
        "ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires",
        owner=owner,
        expires=now + LEASE_DURATION,
    )
    await tx.execute("DELETE FROM dispatcher WHERE expires <= :now", now=now)
    rows = await tx.rows(f"SELECT shard, epoch, owner, expires FROM shard_lease ORDER BY shard {tx.for_update}")
    dispatcher_count = await tx.row("SELECT count(*) AS dispatchers FROM dispatcher")
    fair_share = -(-SHARDS // max(1 if dispatcher_count is None else dispatcher_count.dispatchers, 1))
    owned = {row.shard: row.epoch for row in rows if row.owner == owner}
    for shard in sorted(owned)[fair_share:]:
        del owned[shard]
        await tx.execute("UPDATE shard_lease SET owner = '', expires = 0 WHERE shard = :shard", shard=shard)
    for row in rows:
        if len(owned) < fair_share and row.owner != owner and row.expires <= now:
            owned[row.shard] = row.epoch + 1
            await tx.execute(
                "UPDATE shard_lease SET owner = :owner, epoch = epoch + 1 WHERE shard = :shard",
                owner=owner,
                shard=row.shard,
            )
    await tx.execute(
        "UPDATE shard_lease SET expires = :expires WHERE owner = :owner", expires=now + LEASE_DURATION, owner=owner
    )
    return owned


async def release_leases(tx: Tx, owner: str) -> None:
    """Give all shards back, on the way out."""
    await tx.execute("UPDATE shard_lease SET owner = '', expires = 0 WHERE owner = :owner", owner=owner)
    await tx.execute("DELETE FROM dispatcher WHERE owner = :owner", owner=owner)


async def lock_owned_shards(tx: Tx, owner: str, epochs: Mapping[int, int]) -> set[int]:
    """Those of our shards whose epoch nobody has raised; they cannot be taken before this transaction ends."""
    rows = await tx.rows(
        f"SELECT shard, epoch FROM shard_lease WHERE owner = :owner ORDER BY shard "
        f"{'FOR SHARE' if tx.for_update else ''}",
        owner=owner,
    )
    return {row.shard for row in rows if epochs.get(row.shard) == row.epoch}

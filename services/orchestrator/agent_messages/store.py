"""SQL of agents' budgets."""

from typing import Final

from services.kit.db.database import Tx

KEPT_DAYS: Final = 7


async def count_used(tx: Tx, agent: str, day: int) -> int:
    """How many messages the agent has sent on this day."""
    row = await tx.row("SELECT used FROM agent_budget WHERE agent = :agent AND day = :day", agent=agent, day=day)
    return 0 if row is None else int(row.used)


async def take_one(tx: Tx, agent: str, day: int, most: int) -> bool:
    """Count one message more, unless there are `most` already. Counts of days long past go."""
    await tx.execute("DELETE FROM agent_budget WHERE day < :before", before=day - KEPT_DAYS)
    if most < 1:
        return False
    sql = """
        INSERT INTO agent_budget (agent, day, used) VALUES (:agent, :day, 1)
        ON CONFLICT (agent, day) DO UPDATE SET used = agent_budget.used + 1 WHERE agent_budget.used < :most
    """
    return await tx.execute(sql, agent=agent, day=day, most=most) == 1


async def give_back(tx: Tx, agent: str, day: int) -> None:
    """Count one message less: nothing came of it."""
    await tx.execute(
        "UPDATE agent_budget SET used = used - 1 WHERE agent = :agent AND day = :day AND used > 0", agent=agent, day=day
    )

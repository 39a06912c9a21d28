"""Pings a pooled connection at checkout, but only if it has been idle.

SQLAlchemy's own `pool_pre_ping` pings at every checkout, which costs a round trip per transaction.
"""

import asyncio
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.util import await_only

IDLE_SECONDS = 1.0
"""Seconds of idleness after which a connection is pinged."""
PING_TIMEOUT = 2.0
"""Seconds to wait for the answer to a ping."""
_LAST_USED = "used"


def ping_idle_connections(engine: Engine) -> None:
    """Enables the ping for this engine: idle connections are checked at checkout, dead ones replaced."""

    def on_checkin(_connection: Any, record: Any) -> None:
        record.info[_LAST_USED] = time.monotonic()

    def on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        last_used = record.info.get(_LAST_USED)
        if last_used is None or time.monotonic() - last_used < IDLE_SECONDS:
            return
        try:
            await_only(asyncio.wait_for(connection.driver_connection.execute("SELECT 1"), PING_TIMEOUT))
        except Exception as error:  # whatever it says, the connection is of no use
            raise DisconnectionError from error

    event.listen(engine, "checkin", on_checkin)
    event.listen(engine, "checkout", on_checkout)

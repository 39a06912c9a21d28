"""Asks a pooled connection whether it still lives, but only one that has lain idle: what was used just now does.

SQLAlchemy's own `pool_pre_ping` asks at every checkout, which is a round trip a transaction.
"""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE_SECONDS = 1.0
"""Seconds after which a connection is asked."""
_LAST_USED = "used"


def ping_idle_connections(engine: Engine) -> None:
    """From now on, connections of this engine that lay idle are asked at checkout; a dead one is replaced."""

    def on_checkin(_connection: Any, record: Any) -> None:
        record.info[_LAST_USED] = time.monotonic()

    def on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        last_used = record.info.get(_LAST_USED)
        if last_used is None or time.monotonic() - last_used < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # whatever it says, the connection is of no use
            raise DisconnectionError from error

    event.listen(engine, "checkin", on_checkin)
    event.listen(engine, "checkout", on_checkout)

"""Asks a pooled connection whether it still lives, but only one that has lain idle: what was used just now does.

SQLAlchemy's own `pool_pre_ping` asks at every checkout, which is a round trip a transaction.
"""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE = 1.0
"""Seconds after which a connection is asked."""
_USED = "used"


def ping_idle(engine: Engine) -> None:
    """From now on, connections of this engine that lay idle are asked at checkout; a dead one is replaced."""

    def returned(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get(_USED)
        if used is None or time.monotonic() - used < IDLE:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # whatever it says, the connection is of no use
            raise DisconnectionError from error

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)

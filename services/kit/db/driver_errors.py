"""Maps driver errors that may pass by themselves to our error tree."""

from __future__ import annotations

from types import TracebackType

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kit.errors import DatabaseBusy, DatabaseGone, Transient

_BUSY_STATES = ("40", "53", "55P03", "57014")
"""SQLSTATEs (or classes) of rollbacks, lack of resources, lock time-outs, cancelled statements."""
_GONE_STATES = ("08", "57P", "25P03", "58", "28", "3D")
"""SQLSTATEs (or classes) of lost connections, shut-downs, idle time-outs, system errors, and of a server that does not
let us in (any more).
"""
_BUSY_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL")
_GONE_SQLITE = ("SQLITE_IOERR", "SQLITE_CANTOPEN")


class translate_db_errors:
    """Raises transient database errors as DatabaseBusy or DatabaseGone; lets all others through.

    With `connecting`, an OSError counts as well: nobody answers at the address.
    """

    __slots__ = ("_connecting",)

    def __init__(self, *, connecting: bool = False) -> None:
        self._connecting = connecting

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        transient = _to_transient(error)
        if transient is None and self._connecting and isinstance(error, OSError):
            transient = DatabaseGone("the database cannot be reached")
        if transient is not None:
            raise transient from error


def _to_transient(error: BaseException) -> Transient | None:
    if isinstance(error, (PoolTimeout, TimeoutError)):
        return DatabaseBusy("the database did not answer in time", retry_after=0.2)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseGone("the connection to the database was lost")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, (ConnectionError, asyncpg.InterfaceError)):
        return DatabaseGone("the connection to the database was lost")
    name = getattr(cause, "sqlite_errorname", None) or ""
    state = getattr(cause, "sqlstate", None) or ""
    if name.startswith(_BUSY_SQLITE) or (state and state.startswith(_BUSY_STATES)):
        return DatabaseBusy(f"the database is busy ({name or state})", retry_after=0.05)
    if name.startswith(_GONE_SQLITE) or (state and state.startswith(_GONE_STATES)):
        return DatabaseGone(f"the database is not available ({name or state})")
    return None

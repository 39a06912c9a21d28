"""Why a database cannot be used at the start of a process, in one line that says what, where and how to mend it."""

import socket
import ssl
from collections.abc import Iterator
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kit.db.database import server_name
from services.kit.db.server_tls import explain_tls_error
from services.kit.runtime.settings import SettingsError

_VARIABLE: Final = "TACTFUL_DATABASE__URL"


def explain_refusal(error: BaseException, url: str) -> str:
    """One line about an error of opening or reading the database at `url`, without its password."""
    try:
        address = make_url(url)
        server = server_name(address)
    except (ArgumentError, ValueError):
        return f"{_VARIABLE} is no address of a database: postgresql+asyncpg://user:password@host:port/database"
    host = server.rpartition("/")[0] or server
    user, name = address.username or "the user of this process", address.database or address.username
    causes = list(_causes(error))
    state = next((found for cause in causes if (found := getattr(cause, "sqlstate", None))), "")
    if state == "28P01":
        return f"the database server at {host} refuses the password of {user}: correct {_VARIABLE}"
    if state.startswith("28"):
        return f"the database server at {host} does not let {user} in ({state}): correct {_VARIABLE}"
    if state == "3D000":
        return f"there is no database `{name}` at {host}: create it, or correct {_VARIABLE}"
    if state == "53300":
        return f"the database server at {host} has no free connection: raise its max_connections, or lower the pools"
    if state.startswith("57P"):
        return f"the database server at {host} is starting or stopping ({state}): try again"
    if state == "42501":
        return f"{user} may not use the database at {server}: grant it, or correct {_VARIABLE}"
    if state:
        return f"the database at {server} cannot be used ({state}): check {_VARIABLE}"
    if address.get_backend_name() == "sqlite":
        return f"the database file {server} cannot be opened ({_words(causes[-1])}): correct {_VARIABLE}"
    return _explain_connection_error(causes, host, sorted(address.query))


def _explain_connection_error(causes: list[BaseException], host: str, options: list[str]) -> str:
    for cause in causes:
        if isinstance(cause, TypeError) and options:
            return f"{_VARIABLE} has an option that asyncpg does not take: {', '.join(options)}"
        if isinstance(cause, SettingsError):
            return str(cause)
        if isinstance(cause, ssl.SSLError):
            return explain_tls_error(cause, host)
        if isinstance(cause, socket.gaierror):
            return f"the host of the database, {host}, is unknown ({cause.strerror}): correct {_VARIABLE}"
        if isinstance(cause, TimeoutError | PoolTimeout):
            return f"the database at {host} does not answer in time: check {_VARIABLE}, the network and the server"
        if "rejected SSL upgrade" in str(cause):
            return f"the database at {host} has no TLS: switch it on there, or correct sslmode in {_VARIABLE}"
        if isinstance(cause, OSError):
            return f"cannot connect to the database at {host} ({_words(cause)}): start it, or correct {_VARIABLE}"
    return f"the database at {host} cannot be used ({type(causes[-1]).__name__}): check {_VARIABLE}"


def _words(error: BaseException) -> str:
    """Why, such as "connection refused"; asyncio puts the address into the error's own text."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or getattr(error, "sqlite_errorname", None) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, the outermost first."""
    while error is not None:
        yield error
        error = (error.orig if isinstance(error, DBAPIError) else None) or error.__cause__ or error.__context__

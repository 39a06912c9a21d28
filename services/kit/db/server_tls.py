"""TLS to PostgreSQL, by the parameters of a database's URL that libpq has: `?sslmode=verify-full&sslrootcert=FILE`.

asyncpg takes these from a connection string alone, and SQLAlchemy hands it parameters one by one. So they are taken out
of the URL here, and become the context of the connection. `sslrootcert` alone means verify-full: whoever names an
authority wants the server's certificate and its name checked.
"""

import ssl
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from services.kit.runtime.settings import SettingsError
from services.kit.runtime.tls import TlsFiles, client_context, explain_untrusted

VARIABLE = "TACTFUL_DATABASE__URL"
_MODES = ("disable", "require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslpassword")


def split_tls(url: URL) -> tuple[URL, dict[str, Any]]:
    """Returns the URL without its parameters of TLS, and asyncpg's argument `ssl`, if they ask for something.

    Without any of them asyncpg uses TLS if the server offers it, and checks nothing. Raises SettingsError.
    """
    given = {name: str(value) for name, value in url.query.items() if name in ("sslmode", "ssl", *_FILES)}
    if not given:
        return url, {}
    rest = url.difference_update_query(given)
    mode = given.get("sslmode", given.get("ssl", "verify-full" if "sslrootcert" in given else ""))
    if mode not in _MODES:
        raise SettingsError(f"{VARIABLE}: {_explain_mode(mode)}: write one of {', '.join(_MODES)}")
    if mode == "disable":
        if useless := [name for name in _FILES if name in given]:
            raise SettingsError(f"{VARIABLE}: {', '.join(useless)} has no effect with sslmode=disable: remove one")
        return rest, {"ssl": False}
    if "sslkey" in given and "sslcert" not in given:
        raise SettingsError(f"{VARIABLE}: sslkey needs sslcert, the certificate of it")
    return rest, {"ssl": _context(mode, given)}


def _explain_mode(mode: str) -> str:
    if mode in ("allow", "prefer"):
        return f"sslmode={mode} goes on without TLS where the server has none, without a word"
    return f"sslmode={mode} is unknown" if mode else "sslcert and sslkey need an sslmode"


def _context(mode: str, given: dict[str, str]) -> ssl.SSLContext:
    files = {name: Path(given[name]) if name in given else None for name in _FILES[:3]}
    context = client_context(
        TlsFiles(
            ca=files["sslrootcert"],
            certificate=files["sslcert"],
            key=files["sslkey"],
            key_password=given.get("sslpassword"),
            ca_setting=f"{VARIABLE} (sslrootcert)",
            certificate_setting=f"{VARIABLE} (sslcert)",
            key_setting=f"{VARIABLE} (sslkey)",
        )
    )
    context.check_hostname = mode == "verify-full"
    if mode == "require" and "sslrootcert" not in given:  # with an authority, libpq checks it: as verify-ca
        context.verify_mode = ssl.CERT_NONE
    return context


def explain_tls_error(error: ssl.SSLError, host: str) -> str:
    """Why TLS to the database at this place failed, and what to correct."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return explain_untrusted(
            error,
            f"the database at {host}",
            authority=f"sslrootcert in {VARIABLE} must name the authority that signed it",
            host=f"name it in {VARIABLE} as the certificate does",
        )
    reason = (error.reason or type(error).__name__).lower().replace("_", " ")
    return f"the database at {host} refuses TLS ({reason}): check sslmode, sslcert and sslkey in {VARIABLE}"

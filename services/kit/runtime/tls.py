"""TLS contexts for our connections, made of files that settings name. A certificate is always verified, unless a caller
says otherwise. What cannot be used is refused with the name of its setting.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.kit.runtime.settings import SettingsError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of one end of a connection, PEM, and of each the setting that names it.

    `ca`: the authorities that may have signed the other end's certificate; none: the public ones (of certifi, which the
    whole project uses).
    `certificate` and `key`: what this end shows of itself.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: str | None = None
    ca_setting: str = ""
    certificate_setting: str = ""
    key_setting: str = ""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a client that verifies the server's certificate and its name. Raises SettingsError."""
    if files.ca is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust(context, files.ca, files.ca_setting)
    if files.certificate is not None:
        _identify(context, files)
    return context


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """The context of a server with a certificate. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _identify(context, files)
    return context


def trust(context: ssl.SSLContext, ca: Path, setting: str) -> None:
    """Adds the authorities of a file to those that a context trusts. Raises SettingsError."""
    _load(setting, ca, "the certificate of an authority, as PEM", lambda: context.load_verify_locations(ca))


def explain_untrusted(error: ssl.SSLCertVerificationError, place: str, *, authority: str, host: str) -> str:
    """Why the certificate of a server is refused, and what to correct: for another `authority`, or another `host`."""
    if "mismatch" in error.verify_message:
        return f"the certificate of {place} is for another host: {host}"
    return f"the certificate of {place} is not trusted ({error.verify_message}): {authority}"


def _identify(context: ssl.SSLContext, files: TlsFiles) -> None:
    assert files.certificate is not None
    certificate, key = files.certificate, files.key or files.certificate
    _load(files.certificate_setting, certificate, "a certificate, as PEM", lambda: certificate.read_bytes())
    _load(files.key_setting, key, "a private key, as PEM", lambda: key.read_bytes())
    wanted = f"the private key of {certificate}, as PEM, and its password if it has one"

    def password() -> str:
        return files.key_password or ""  # without this, OpenSSL would ask for it at the terminal

    _load(files.key_setting, key, wanted, lambda: context.load_cert_chain(certificate, key, password))


def _load(setting: str, path: Path, wanted: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        reason = (error.reason or "no PEM").lower().replace("_", " ")
        raise SettingsError(f"{setting}: {path} cannot be used ({reason}): name a file with {wanted}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{setting}: {path} cannot be read ({reason}): name a file with {wanted}") from None

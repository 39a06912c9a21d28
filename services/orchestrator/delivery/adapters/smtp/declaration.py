"""The adapter `smtp`."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from schemas.documents import FieldError
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SecretKey
from services.orchestrator.mail_settings import MailAddress

Security = Literal["starttls", "tls", "none"]
_PORTS: Final[dict[Security, int]] = {"starttls": 587, "tls": 465, "none": 25}
"""The usual ports; those of other protocols below 1024 are refused."""


def _check_mail_port(port: int) -> int:
    if port < 1024 and port not in _PORTS.values():
        raise ValueError(f"port {port} is of another protocol: use 587, 465, 25 or one from 1024")
    return port


class SmtpSettings(Section):
    """The server that takes mails, and how this client is known to it.

    `security`: `starttls`, `tls` from the first byte, or `none`. A server's certificate must be signed by `ca_file`
    (else by a public authority) and name the host. `connections`: how many at most, in each process. `return_path`:
    where bounces go; by default to the sender of the mail. `bounce_secret`: signs the id of the message in the return
    path, so that bounces can be read; needs a `return_path` with at most 10 characters before its @.
    """

    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535), AfterValidator(_check_mail_port)] | None = None
    security: Security = "starttls"
    user: str | None = None
    password: SecretStr | None = Field(default=None, min_length=1)
    ca_file: Path | None = None
    connections: int = Field(default=4, ge=1, le=50)
    return_path: MailAddress | None = None
    bounce_secret: SecretKey | None = None

    @property
    def server_port(self) -> int:
        """The port that is connected to."""
        return self.port or _PORTS[self.security]

    @model_validator(mode="after")
    def _check_what_belongs_together(self) -> "SmtpSettings":
        for given, missing in (("user", "password"), ("password", "user")):
            if getattr(self, given) is not None and getattr(self, missing) is None:
                raise FieldError(given, f"needs TACTFUL_SMTP__{missing.upper()}")
        if self.bounce_secret is not None and len((self.return_path or "").rpartition("@")[0]) not in range(1, 11):
            raise FieldError(
                "bounce_secret", "needs TACTFUL_SMTP__RETURN_PATH, with at most 10 characters before the @"
            )
        if self.security == "none" and self.ca_file is not None:
            raise FieldError("ca_file", "has no effect with TACTFUL_SMTP__SECURITY=none: set starttls or tls")
        return self


def _check_server_settings(settings: SmtpSettings) -> SettingsCheck:
    if settings.host is None:
        return SettingsCheck("smtp without a server", "set TACTFUL_SMTP__HOST")
    login = "with a login" if settings.user is not None else "without a login"
    return SettingsCheck(f"smtp to {settings.host}:{settings.server_port}, {settings.security}, {login}")


DECLARATION: Final = AdapterDeclaration(
    id="smtp",
    order=21,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=SmtpSettings,
    sample=(
        "The SMTP adapter: the server that takes mails (docs/adapters/smtp.md). __SECURITY: starttls (port 587),",
        "tls (465), or none (25), for a server in TACTFUL_OUTBOUND__NETWORKS alone. Certificates and host names are",
        "always checked; __CA_FILE: the authorities that sign them, as PEM, if not the public ones. __CONNECTIONS: how",
        "many at most, in each process. __RETURN_PATH: where bounces go; by default to the sender of the mail.",
        "__BOUNCE_SECRET: signs which mail a bounce is about, for `tactful receipts mail`; at least 16 characters.",
    ),
    check=_check_server_settings,
    has_receipts=True,
    receipts_need=("bounce_secret",),
    tells_arrival=False,
)

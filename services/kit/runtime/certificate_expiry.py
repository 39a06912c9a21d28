"""When the certificates end that a process shows of itself. It reads them at its start, so the gauge is set then.

The authorities that it trusts are no concern of this: a connection that one of them ends is seen as a lost server.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from sqlalchemy.engine import make_url

from services.kit.observability.metrics import Registry, gauge
from services.kit.runtime.settings import ServiceSettings

CERTIFICATE_USES: Final = ("database", "kafka", "web")
"""Towards whom a process shows a certificate: its database, the brokers, its own callers."""


def own_certificates(settings: ServiceSettings) -> dict[str, Path]:
    """The files of the certificates that are set, by use."""
    given = make_url(settings.database.url).query.get("sslcert") if settings.database.url else None
    files = {
        "database": Path(given) if isinstance(given, str) else None,
        "kafka": settings.kafka.certificate_file,
        "web": settings.web.certificate_file,
    }
    return {use: path for use, path in files.items() if path is not None}


def read_expiry(path: Path) -> datetime:
    """When the first certificate of a chain to end does so, UTC. Raises OSError or ValueError for what is no PEM."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes())).astimezone(UTC)


def publish_certificate_expiry(registry: Registry, files: Mapping[str, Path]) -> None:
    """Shows the end of each certificate in a gauge; 0 where there is none, or none that can be read."""
    description = "When the certificate ends that this process shows to its callers, Kafka or its database; 0 if none"
    expiry = gauge(registry, "certificate_expiry_timestamp_seconds", description, {"use": CERTIFICATE_USES})
    for use, path in files.items():
        try:
            expiry(use).set(read_expiry(path).timestamp())
        except (OSError, ValueError):
            expiry(use).set(0)  # TLS itself refuses the file, and names its setting

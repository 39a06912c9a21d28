"""Whether another service answers: what a process watches of the services that it calls."""

import ssl

import aiohttp
import httpx

from services.kit.errors import Transient
from services.kit.observability.dependency import Dependency, Probe
from services.kit.runtime.tls import explain_untrusted

PROBE_INTERVAL = 5.0
"""Seconds. A request costs both sides more than a probe of a database. Two that fail, with their time-outs, are over
before readiness follows (`LOSS_SECONDS`).
"""


def watched_service(name: str, http: httpx.AsyncClient) -> tuple[Dependency, Probe]:
    """Returns what `ProcessResources.watch` takes. `http` has the base URL.

    Asked is whether the process lives. Whether it is ready is its own report: a broker that is gone would otherwise be
    reported by every service about every other one.
    """

    async def probe() -> None:
        try:
            response = await http.get("/livez")
        except httpx.TransportError as error:
            raise Transient(_explain(error, str(http.base_url))) from error
        if response.status_code != 200:
            raise Transient(f"HTTP {response.status_code}")

    return Dependency(name, str(http.base_url), probe_interval=PROBE_INTERVAL), probe


def _explain(error: httpx.TransportError, url: str) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            cause = cause.certificate_error  # it is one itself, without saying why
        if isinstance(cause, ssl.SSLCertVerificationError):
            return explain_untrusted(
                cause,
                url,
                authority="TACTFUL_SERVICES__CA_FILE must hold the authority that signed it",
                host="its address in TACTFUL_SERVICES__* must be one that the certificate names",
            )
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__

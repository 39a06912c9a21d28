"""Connections to the other services: by TLS where their address says https, and then always verified."""

import ssl

import httpx
from httpx_aiohttp import AiohttpTransport

from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.tls import TlsFiles, client_context


def service_tls(settings: ConnectedServiceSettings) -> ssl.SSLContext:
    """The context of every connection to a service. Raises SettingsError for a file that cannot be used."""
    return client_context(TlsFiles(ca=settings.services.ca_file, ca_setting="TACTFUL_SERVICES__CA_FILE"))


def open_service_client(settings: ConnectedServiceSettings, url: str) -> httpx.AsyncClient:
    """A client of the service at this address. Raises SettingsError for a file that cannot be used.

    Its requests go by aiohttp: a call takes less than half of the processor time that httpx's own transport needs, and
    every batch of events makes several.
    """
    return httpx.AsyncClient(base_url=url, transport=AiohttpTransport(verify=service_tls(settings)))

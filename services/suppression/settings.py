"""Settings of the suppression service: those that all services have, with a default port of its own."""

from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.settings import Port, WebSettings


class SuppressionWebSettings(WebSettings):
    """HTTP, with the default port of this service."""

    port: Port = 8002


class SuppressionSettings(ConnectedServiceSettings):
    """The settings of the suppression service."""

    web: WebSettings = SuppressionWebSettings()

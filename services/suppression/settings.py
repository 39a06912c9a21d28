"""Settings of the suppression service: those that all services have, with a default port of its own."""

from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.settings import Port, WebSettings

REQUIRED_SETTINGS = ("database.url", "kafka.bootstrap", "service_key", "address_key", "services.orchestrator_url")
"""What must be set for this service to start alone. `tactful dev` needs nothing."""


class SuppressionWebSettings(WebSettings):
    """HTTP, with the default port of this service."""

    port: Port = 8002


class SuppressionSettings(ConnectedServiceSettings):
    """The settings of the suppression service."""

    web: WebSettings = SuppressionWebSettings()

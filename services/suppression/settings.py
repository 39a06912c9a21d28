"""The settings of this service: those that all services know, with a port of its own."""

from services.kit.runtime.settings import Port, ServiceSettings, WebSettings


class SuppressionWebSettings(WebSettings):
    """Where we listen."""

    port: Port = 8002


class SuppressionSettings(ServiceSettings):
    """Read once at start."""

    web: WebSettings = SuppressionWebSettings()

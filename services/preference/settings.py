"""The settings of this service: those that all services know, with a port of its own."""

from services.kit.runtime.settings import Port, ServiceSettings, WebSettings


class PreferenceWebSettings(WebSettings):
    """Where we listen."""

    port: Port = 8001


class PreferenceSettings(ServiceSettings):
    """Read once at start."""

    web: WebSettings = PreferenceWebSettings()

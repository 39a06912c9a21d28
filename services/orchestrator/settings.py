"""The settings of this service: those that all services know."""

from services.kit.runtime.settings import ServiceSettings


class OrchestratorSettings(ServiceSettings):
    """Read once at start."""

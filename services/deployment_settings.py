"""The settings of a whole deployment: those of all three services together.

All services of a deployment may be given the same environment or TOML file. Each process therefore accepts and
validates the settings of all of them, so that a misspelt name or a wrong value is refused wherever it is read first.
The command line and the development server, which work with all services, read `DeploymentSettings`.
"""

from services.kit.runtime.settings import ServiceSettings, WebSettings
from services.orchestrator.settings import OrchestratorSettings
from services.preference.settings import PreferenceSettings
from services.suppression.settings import SuppressionSettings

SERVICE_SETTINGS: tuple[type[ServiceSettings], ...] = (OrchestratorSettings, PreferenceSettings, SuppressionSettings)
"""What a process passes to `load_settings` as `deployment`, beside the type of its own settings."""


class DeploymentSettings(OrchestratorSettings, PreferenceSettings, SuppressionSettings):
    """Every setting of every service. Where their defaults differ, those of the orchestrator hold."""

    web: WebSettings = WebSettings()

"""Settings of the preference service: those that all services have, a default port of its own, and its public pages."""

from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.settings import Port, WebSettings
from services.preference.centre.brand import CentreSettings
from services.preference.consents.consent_settings import ConsentSettings

REQUIRED_SETTINGS = ("database.url", "kafka.bootstrap", "service_key", "address_key", "services.orchestrator_url")
"""What must be set for this service to start alone. `tactful dev` needs nothing."""


class PreferenceWebSettings(WebSettings):
    """HTTP, with the default port of this service."""

    port: Port = 8001


class PreferenceSettings(ConnectedServiceSettings):
    """The settings of the preference service."""

    web: WebSettings = PreferenceWebSettings()
    consent: ConsentSettings = ConsentSettings()
    centre: CentreSettings = CentreSettings()

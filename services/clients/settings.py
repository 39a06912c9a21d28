"""Settings of a service that talks to the other services: their URLs, and the key that hashes addresses.

The services authenticate to each other with `service_key`, which every service has.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr, model_validator

from schemas.address_kinds import REGIONS
from schemas.documents import FieldError
from schemas.link_tokens import LinkKeys, derive_link_keys
from services.clients.retention_settings import RetentionSettings
from services.kit.runtime.section import Section
from services.kit.runtime.settings import MIN_KEY_LENGTH, HttpUrl, ServiceSettings, StrongKey


def _check_region(region: str) -> str:
    if region.upper() not in REGIONS:
        raise ValueError("not a country by its two letters of ISO 3166, such as DE")
    return region.upper()


def _check_old_keys(keys: SecretStr) -> SecretStr:
    for key in _split_keys(keys):
        if len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"keys of at least {MIN_KEY_LENGTH} characters, separated by commas")
    return keys


def _split_keys(keys: SecretStr) -> list[str]:
    return [key for key in map(str.strip, keys.get_secret_value().split(",")) if key]


OldKeys = Annotated[SecretStr, AfterValidator(_check_old_keys)]
Region = Annotated[str, AfterValidator(_check_region)]


class ServicesSettings(Section):
    """The base URLs of the services. `ca_file`: the authorities that sign the certificates of those with https, as PEM;
    none: the public ones.
    """

    orchestrator_url: HttpUrl = "http://127.0.0.1:8000"
    preference_url: HttpUrl = "http://127.0.0.1:8001"
    suppression_url: HttpUrl = "http://127.0.0.1:8002"
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _check_ca_file(self) -> "ServicesSettings":
        urls = (self.orchestrator_url, self.preference_url, self.suppression_url)
        if self.ca_file is not None and not any(url.startswith("https://") for url in urls):
            raise FieldError("ca_file", "has no effect, because no service has an address with https://")
        return self


class ConnectedServiceSettings(ServiceSettings):
    """The settings of a service that calls others.

    `address_key` keys the hashes under which suppressed addresses are stored and the tokens in unsubscribe links. All
    services need the same one, and it never changes: entries hashed under another key would not be found. `region` is
    the organisation's country: telephone numbers in national form are read as numbers of the customer's country, else
    of this one. `link_key` signs the links in messages in place of the address key; links that `old_link_keys` or the
    address key have signed still work.
    """

    services: ServicesSettings = ServicesSettings()
    address_key: StrongKey | None = None
    region: Region | None = None
    link_key: StrongKey | None = None
    old_link_keys: OldKeys | None = None
    retention: RetentionSettings = RetentionSettings()

    def link_keys(self) -> LinkKeys:
        """The keys of the links in messages. Raises SettingsError without an address key."""
        link_key = None if self.link_key is None else self.link_key.get_secret_value()
        return derive_link_keys(
            self.require("address_key"), link_key, [] if self.old_link_keys is None else _split_keys(self.old_link_keys)
        )

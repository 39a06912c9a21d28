"""Settings: environment variables `TACTFUL_SECTION__KEY`, files of secrets, a TOML file; refused when not understood.

One service's settings are a subclass of `ServiceSettings`. All sections of all services are here, because all
services of a deployment may be given the same environment.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import NestedSecretsSettingsSource as SecretFiles

from schemas.documents import problems, suggestion
from schemas.vocabulary import CHANNELS
from services.kit.observability.logs import Level

ENV_PREFIX = "TACTFUL_"
CONFIG_VARIABLE = "TACTFUL_CONFIG"
SECRETS_DIR_VARIABLE = "TACTFUL_SECRETS_DIR"
MIN_KEY_LENGTH = 16
MASK = "********"
SettingPath: TypeAlias = tuple[str, ...]
Settings = TypeVar("Settings", bound="ServiceSettings")


class SettingsError(ValueError):
    """The configuration cannot be used; the text is one line and shows no secret."""


def _check_key_length(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < MIN_KEY_LENGTH:
        raise ValueError(f"a key needs at least {MIN_KEY_LENGTH} characters; `openssl rand -hex 32` makes one")
    return key


SecretKey = Annotated[SecretStr, AfterValidator(_check_key_length)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)


class DatabaseSettings(Section):
    """The database of the one service that this process is. `pool`: connections at most."""

    url: str | None = Field(default=None, repr=False, pattern=r"^(sqlite\+aiosqlite|postgresql\+asyncpg):///?.")
    pool: int = Field(default=8, ge=1, le=200)


class KafkaSettings(Section):
    """The log. Without `bootstrap` (host:port, comma separated) it is an embedded one in `data_dir`."""

    bootstrap: str | None = None
    events_topic: str = Field(default="customer.events", pattern=r"^[a-zA-Z0-9._-]{1,249}$")


class WebSettings(Section):
    """Where we listen, the bytes of a request body at most, and where customers reach us. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: Port = 8000
    max_body: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    public_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^\s]+$")


class ServicesSettings(Section):
    """Where the other services are."""

    orchestrator_url: str = "http://127.0.0.1:8000"
    preference_url: str = "http://127.0.0.1:8001"
    suppression_url: str = "http://127.0.0.1:8002"


class DispatchSettings(Section):
    """Handover: seconds one attempt may take at most, what the clocks may differ by, a provider's time to answer."""

    deadline: Seconds = 30.0
    slack: Seconds = 5.0
    timeout: Seconds = 10.0


class WebhookEndpointSettings(Section):
    """The webhook adapter: where it posts, and the secret that signs."""

    url: str | None = Field(default=None, repr=False)
    secret: SecretKey | None = None


class ServiceSettings(BaseSettings):
    """What every service knows. Read once, by `load`; nothing in it changes afterwards."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        nested_model_default_partial_update=True,
    )

    database: DatabaseSettings = DatabaseSettings()
    kafka: KafkaSettings = KafkaSettings()
    web: WebSettings = WebSettings()
    services: ServicesSettings = ServicesSettings()
    dispatch: DispatchSettings = DispatchSettings()
    webhook: WebhookEndpointSettings = WebhookEndpointSettings()
    adapters: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(CHANNELS, "sandbox"))
    data_dir: Path = Path("tactful-data")
    log_level: Level = "info"
    admin_key: SecretKey | None = None
    service_key: SecretKey | None = None
    address_key: SecretKey | None = None

    _origins: dict[SettingPath, str] = PrivateAttr(default_factory=dict)

    @field_validator("adapters", mode="before")
    @classmethod
    def _fill_channels(cls, channels_given: object) -> object:
        if not isinstance(channels_given, Mapping):
            return channels_given
        for channel in channels_given:
            if channel not in CHANNELS:
                raise ValueError(f"unknown channel `{channel}`{suggestion(str(channel), CHANNELS)}")
        return {**dict.fromkeys(CHANNELS, "sandbox"), **channels_given}

    def require(self, name: str) -> str:
        """The value of a top-level setting or `section.key` that must be there. Raises SettingsError."""
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part)
        if value is None:
            raise SettingsError(f"{_variable_name(tuple(name.split('.')))} is not set, and this process needs it")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings, env_settings]
        if directory := os.environ.get(SECRETS_DIR_VARIABLE):
            sources.append(SecretFiles(file_secret_settings, secrets_dir=directory, secrets_dir_missing="error"))
        if file := os.environ.get(CONFIG_VARIABLE):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)


class SettingOrigin(NamedTuple):
    """One setting: the variable that sets it, its value with secrets masked, where the value is from."""

    name: str
    value: str
    origin: str


def load_settings(settings_type: type[Settings], **arguments: Any) -> Settings:
    """Read the settings. `arguments` (from the command line) win over the environment, then come files, then defaults.

    Raises SettingsError with one clear line for an unknown name, a wrong value, a weak key, an unreadable file.
    """
    _refuse_unknown(os.environ, "environment variable")
    secrets, config = _secret_file_names(), _read_toml()
    _refuse_unknown(secrets, f"file in {SECRETS_DIR_VARIABLE}")
    try:
        settings = settings_type(**arguments)
    except ValidationError as error:
        raise SettingsError("; ".join(_error_lines(settings_type, error))) from None
    layers = (
        ("default", ()),
        (f"file {os.environ.get(CONFIG_VARIABLE)}", _paths_in(config)),
        (f"file in {os.environ.get(SECRETS_DIR_VARIABLE)}", map(_setting_path, secrets)),
        (
            "environment",
            map(_setting_path, (name for name, value in os.environ.items() if value and _is_tactful_variable(name))),
        ),
        ("argument", _paths_in(arguments)),
    )
    settings._origins.update({path: origin for origin, paths in layers for path in paths})
    return settings


def list_setting_origins(settings: ServiceSettings) -> list[SettingOrigin]:
    """Every setting with its value (secrets masked) and where it is from."""
    return [
        SettingOrigin(_variable_name(path), _mask_secrets(value), settings._origins.get(path, "default"))
        for path, value in sorted(dict(_values_in(settings)).items())
    ]


def known_variables() -> frozenset[str]:
    """Every environment variable that any service of a deployment may be given."""
    names = {_variable_name(path) for path, _ in _values_in(ServiceSettings.model_construct())}
    return frozenset(names | {CONFIG_VARIABLE, SECRETS_DIR_VARIABLE})


def _refuse_unknown(names: Iterable[str], source_name: str) -> None:
    known = known_variables()
    for name in sorted(names):
        if _is_tactful_variable(name) and name.upper() not in known:
            raise SettingsError(f"unknown {source_name} {name}{suggestion(name.upper(), known)}")


def _is_tactful_variable(name: str) -> bool:
    return name.upper().startswith(ENV_PREFIX)


def _secret_file_names() -> list[str]:
    directory = os.environ.get(SECRETS_DIR_VARIABLE)
    if not directory:
        return []
    try:
        return [entry.name for entry in Path(directory).iterdir() if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR_VARIABLE}: cannot read {directory}: {error.strerror}") from None


def _read_toml() -> dict[str, Any]:
    file = os.environ.get(CONFIG_VARIABLE)
    if not file:
        return {}
    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{CONFIG_VARIABLE}: cannot read {file}: {error}") from None


def _error_lines(settings_type: type[BaseModel], error: ValidationError) -> Iterator[str]:
    locations = [item["loc"] for item in error.errors(include_url=False, include_input=False)]
    for location, (_, _, detail) in zip(locations, problems(settings_type, error), strict=True):
        yield f"{_variable_name(location)}: {detail}"


def _variable_name(path: Sequence[object]) -> str:
    return ENV_PREFIX + "__".join(map(str, path)).upper()


def _setting_path(variable: str) -> SettingPath:
    return tuple(variable.lower().removeprefix(ENV_PREFIX.lower()).split("__"))


def _paths_in(tree: Mapping[str, Any]) -> Iterator[SettingPath]:
    for name, value in tree.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_unset=True)
        yield from ((name, *rest) for rest in _paths_in(value)) if isinstance(value, Mapping) else [(name,)]


def _values_in(model: BaseModel) -> Iterator[tuple[SettingPath, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from (((name, *path), leaf) for path, leaf in _values_in(value))
        elif isinstance(value, Mapping):
            yield from (((name, key), leaf) for key, leaf in value.items())
        else:
            yield (name,), value


def _mask_secrets(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    return re.sub(r"(?<=://)([^/:@]*):[^/@]*(?=@)", rf"\1:{MASK}", str(value))

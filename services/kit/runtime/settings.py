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

PREFIX = "TACTFUL_"
CONFIG = "TACTFUL_CONFIG"
SECRETS_DIR = "TACTFUL_SECRETS_DIR"
WEAKEST_KEY = 16
MASK = "********"
Place: TypeAlias = tuple[str, ...]
Settings = TypeVar("Settings", bound="ServiceSettings")


class SettingsError(ValueError):
    """The configuration cannot be used; the text is one line and shows no secret."""


def _strong(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < WEAKEST_KEY:
        raise ValueError(f"a key needs at least {WEAKEST_KEY} characters; `openssl rand -hex 32` makes one")
    return key


Key = Annotated[SecretStr, AfterValidator(_strong)]
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


class WebhookSettings(Section):
    """The webhook adapter: where it posts, and the secret that signs."""

    url: str | None = Field(default=None, repr=False)
    secret: Key | None = None


class ServiceSettings(BaseSettings):
    """What every service knows. Read once, by `load`; nothing in it changes afterwards."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
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
    webhook: WebhookSettings = WebhookSettings()
    adapters: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(CHANNELS, "sandbox"))
    data_dir: Path = Path("tactful-data")
    log_level: Level = "info"
    admin_key: Key | None = None
    service_key: Key | None = None
    address_key: Key | None = None

    _origins: dict[Place, str] = PrivateAttr(default_factory=dict)

    @field_validator("adapters", mode="before")
    @classmethod
    def _all_channels(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        for channel in given:
            if channel not in CHANNELS:
                raise ValueError(f"unknown channel `{channel}`{suggestion(str(channel), CHANNELS)}")
        return {**dict.fromkeys(CHANNELS, "sandbox"), **given}

    def need(self, name: str) -> str:
        """The value of a top-level setting or `section.key` that must be there. Raises SettingsError."""
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part)
        if value is None:
            raise SettingsError(f"{_variable(tuple(name.split('.')))} is not set, and this process needs it")
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
        if directory := os.environ.get(SECRETS_DIR):
            sources.append(SecretFiles(file_secret_settings, secrets_dir=directory, secrets_dir_missing="error"))
        if file := os.environ.get(CONFIG):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)


class Origin(NamedTuple):
    """One setting: the variable that sets it, its value with secrets masked, where the value is from."""

    name: str
    value: str
    origin: str


def load(kind: type[Settings], **arguments: Any) -> Settings:
    """Read the settings. `arguments` (from the command line) win over the environment, then come files, then defaults.

    Raises SettingsError with one clear line for an unknown name, a wrong value, a weak key, an unreadable file.
    """
    _refuse_unknown(os.environ, "environment variable")
    secrets, config = _secret_names(), _toml()
    _refuse_unknown(secrets, f"file in {SECRETS_DIR}")
    try:
        settings = kind(**arguments)
    except ValidationError as error:
        raise SettingsError("; ".join(_line(kind, error))) from None
    layers = (
        ("default", ()),
        (f"file {os.environ.get(CONFIG)}", _leaves(config)),
        (f"file in {os.environ.get(SECRETS_DIR)}", map(_path, secrets)),
        ("environment", map(_path, (name for name, value in os.environ.items() if value and _ours(name)))),
        ("argument", _leaves(arguments)),
    )
    settings._origins.update({path: origin for origin, paths in layers for path in paths})
    return settings


def origin(settings: ServiceSettings) -> list[Origin]:
    """Every setting with its value (secrets masked) and where it is from."""
    return [
        Origin(_variable(path), _masked(value), settings._origins.get(path, "default"))
        for path, value in sorted(dict(_leaves_of(settings)).items())
    ]


def known_variables() -> frozenset[str]:
    """Every environment variable that any service of a deployment may be given."""
    names = {_variable(path) for path, _ in _leaves_of(ServiceSettings.model_construct())}
    return frozenset(names | {CONFIG, SECRETS_DIR})


def _refuse_unknown(names: Iterable[str], what: str) -> None:
    known = known_variables()
    for name in sorted(names):
        if _ours(name) and name.upper() not in known:
            raise SettingsError(f"unknown {what} {name}{suggestion(name.upper(), known)}")


def _ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _secret_names() -> list[str]:
    directory = os.environ.get(SECRETS_DIR)
    if not directory:
        return []
    try:
        return [entry.name for entry in Path(directory).iterdir() if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR}: cannot read {directory}: {error.strerror}") from None


def _toml() -> dict[str, Any]:
    file = os.environ.get(CONFIG)
    if not file:
        return {}
    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{CONFIG}: cannot read {file}: {error}") from None


def _line(kind: type[BaseModel], error: ValidationError) -> Iterator[str]:
    locations = [item["loc"] for item in error.errors(include_url=False, include_input=False)]
    for location, (_, _, detail) in zip(locations, problems(kind, error), strict=True):
        yield f"{_variable(location)}: {detail}"


def _variable(path: Sequence[object]) -> str:
    return PREFIX + "__".join(map(str, path)).upper()


def _path(variable: str) -> Place:
    return tuple(variable.lower().removeprefix(PREFIX.lower()).split("__"))


def _leaves(tree: Mapping[str, Any]) -> Iterator[Place]:
    for name, value in tree.items():
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_unset=True)
        yield from ((name, *rest) for rest in _leaves(value)) if isinstance(value, Mapping) else [(name,)]


def _leaves_of(model: BaseModel) -> Iterator[tuple[Place, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from (((name, *path), leaf) for path, leaf in _leaves_of(value))
        elif isinstance(value, Mapping):
            yield from (((name, key), leaf) for key, leaf in value.items())
        else:
            yield (name,), value


def _masked(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    return re.sub(r"(?<=://)([^/:@]*):[^/@]*(?=@)", rf"\1:{MASK}", str(value))

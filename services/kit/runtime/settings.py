"""Settings of a service, read at start from environment variables, secret files and a TOML file.

`TACTFUL_SECTION__KEY` sets `key` in the section `section`. A service declares its settings as a subclass of
`ServiceSettings`, which holds what every service has: database, log, HTTP, keys. A name that nobody knows stops the
start, because a misspelt variable would otherwise leave a default in force without a word. All services of a deployment
may be given the same environment, so a name is unknown only when none of their settings types has it.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import NestedSecretsSettingsSource as SecretFiles

from schemas.documents import FieldError, did_you_mean, to_problems
from services.kit.db.column_cipher import ColumnCipher, parse_column_keys
from services.kit.http.outbound import parse_networks
from services.kit.observability.logs import Level
from services.kit.runtime.kafka_settings import KafkaSettings
from services.kit.runtime.section import Section

ENV_PREFIX = "TACTFUL_"
CONFIG_VARIABLE = "TACTFUL_CONFIG"
SECRETS_DIR_VARIABLE = "TACTFUL_SECRETS_DIR"
MIN_KEY_LENGTH = 16
MIN_KEY_VARIETY = 6
"""How many different characters a key has at least. A random one has more; one that was made up may not."""
MASK = "********"
KEY_NAMES = ("admin_key", "service_key", "address_key")
"""The settings that are keys of Tactful's own, of all services together."""
SettingPath: TypeAlias = tuple[str, ...]
Settings = TypeVar("Settings", bound="ServiceSettings")


class SettingsError(ValueError):
    """The settings cannot be used. The message is one line and contains no secret."""


def _check_key_length(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < MIN_KEY_LENGTH:
        raise ValueError(f"a key needs at least {MIN_KEY_LENGTH} characters; `openssl rand -hex 32` makes one")
    return key


def _check_variety(key: SecretStr) -> SecretStr:
    if len(set(key.get_secret_value())) < MIN_KEY_VARIETY:
        raise ValueError(
            f"a key needs at least {MIN_KEY_VARIETY} different characters; `openssl rand -hex 32` makes one"
        )
    return key


def _check_header_text(key: SecretStr) -> SecretStr:
    """HTTP headers lose blanks at the ends and cannot carry other alphabets: such a key would never be recognised."""
    if not re.fullmatch("[!-~]+", key.get_secret_value()):
        raise ValueError("a key has only ASCII letters, digits and signs; `openssl rand -hex 32` makes one")
    return key


def _check_database_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user, _, place = rest.partition("?")[0].rpartition("@")
    if "@" in user or "/" in user:
        raise ValueError("write `@` as %40 and `/` as %2F in the user's name and the password")
    try:
        port_is_valid = urlsplit(url).port != 0
    except ValueError:
        port_is_valid = False
    if url.startswith("sqlite+aiosqlite:///") and url != "sqlite+aiosqlite:///":
        return url
    if scheme != "postgresql+asyncpg" or not port_is_valid or not place.strip("/"):
        raise ValueError("write postgresql+asyncpg://user:password@host:port/database")
    return url


def _check_http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or any(character.isspace() for character in url):
        raise ValueError("write a whole address, such as https://tactful.example.com")
    return url


def _check_column_keys(keys: SecretStr) -> SecretStr:
    parse_column_keys(keys.get_secret_value())
    return keys


HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
"""The address of a service, with scheme and host."""
SecretKey = Annotated[SecretStr, AfterValidator(_check_key_length)]
StrongKey = Annotated[SecretKey, AfterValidator(_check_variety)]
"""A key of Tactful's own, that nobody must guess."""
BearerKey = Annotated[StrongKey, AfterValidator(_check_header_text)]
"""A key that is sent in `Authorization: Bearer`."""
ColumnKeys = Annotated[SecretStr, AfterValidator(_check_column_keys)]
"""Keys with ids that seal columns of personal data: the first seals, all open."""
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class DatabaseSettings(Section):
    """The database of the service that this process runs. `pool`: the most connections it opens."""

    url: Annotated[str, AfterValidator(_check_database_url)] | None = Field(default=None, repr=False)
    pool: int = Field(default=8, ge=1, le=200)


def _check_networks(text: str) -> str:
    parse_networks(text)
    return text


class OutboundSettings(Section):
    """Which addresses that are not of the internet may be connected to because a setting or a document names them:
    networks such as 10.20.0.0/16, comma separated. Within them plain http is possible, too.
    """

    networks: Annotated[str, AfterValidator(_check_networks)] = ""


class TracesSettings(Section):
    """Traces by OpenTelemetry, which need the extra `otel`: the address of the collector, which takes OTLP over HTTP,
    such as http://collector:4318, and the share (0 to 1) of the events that are recorded whose senders name no trace.
    """

    endpoint: HttpUrl | None = None
    share: float = Field(default=0.01, ge=0, le=1, allow_inf_nan=False)


class WebSettings(Section):
    """HTTP: the address to listen on (port 0 takes any free one), the largest request body in bytes, the requests a
    second of one key, and the URL under which this process is reached from outside. With `certificate_file` and
    `key_file` (PEM) this process serves https alone.
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    max_body: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    rate: int = Field(default=500, ge=1, le=1_000_000)
    public_url: HttpUrl = "http://127.0.0.1:8000"
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _check_tls(self) -> "WebSettings":
        if self.certificate_file is None and (self.key_file or self.key_password) is not None:
            field = "key_file" if self.key_file is not None else "key_password"
            raise FieldError(field, "needs TACTFUL_WEB__CERTIFICATE_FILE, the certificate of it")
        if self.certificate_file is not None and self.key_file is None:
            raise FieldError("certificate_file", "needs TACTFUL_WEB__KEY_FILE, the private key of this certificate")
        return self


class ServiceSettings(BaseSettings):
    """The settings that every service has. `load_settings` reads them; they do not change afterwards, but their sources
    can be read again (`reload_settings`).
    """

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
    outbound: OutboundSettings = OutboundSettings()
    traces: TracesSettings = TracesSettings()
    data_dir: Path = Path("tactful-data")
    log_level: Level = "info"
    admin_key: BearerKey | None = None
    service_key: BearerKey | None = None
    column_keys: ColumnKeys | None = None

    _origins: dict[SettingPath, str] = PrivateAttr(default_factory=dict)
    _read_again: Callable[[], "ServiceSettings"] | None = PrivateAttr(default=None)

    def require_set(self, names: Sequence[str]) -> None:
        """Raises SettingsError, which names them, if any of these (`name` or `section.key`) is set by no source.

        A default does not count: a process that works with others must not take an address for granted.
        """
        paths = [tuple(name.split(".")) for name in names]
        missing = [_variable_name(path) for path in paths if path not in self._origins]
        if missing:
            are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
            raise SettingsError(
                f"{join_names(missing)} {are} not set, and this process needs {them}: see deploy/.env.example"
            )

    def require(self, name: str) -> str:
        """Returns the value of `name` or `section.key`. Raises SettingsError when it is not set."""
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part)
        if value is None:
            raise SettingsError(f"{_variable_name(tuple(name.split('.')))} is not set, and this process needs it")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    def column_cipher(self) -> ColumnCipher:
        """What seals columns of personal data. Without `column_keys` it leaves values plain."""
        return ColumnCipher(parse_column_keys(self.column_keys.get_secret_value()) if self.column_keys else None)

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
    """One setting: the variable that sets it, its value with secrets masked, and the source of the value."""

    name: str
    value: str
    origin: str


def load_settings(
    settings_type: type[Settings], *, deployment: Sequence[type["ServiceSettings"]] = (), **arguments: Any
) -> Settings:
    """Reads the settings. `arguments` (from the command line) win over the environment, then come files, then defaults.

    `deployment` names the settings types of the services that may be given the same environment. Their variables are
    accepted and validated too, so that a mistake stops whichever process starts first; defaults that differ are those
    of `settings_type`.

    Raises SettingsError with one line for an unknown name, a wrong value, a weak key, one key for two purposes or an
    unreadable file.
    """
    process_type = _combine(settings_type, deployment)
    known = known_variables(process_type)
    _refuse_unknown(os.environ, known, "environment variable")
    secrets, config = _secret_file_names(), _read_toml()
    _refuse_unknown(secrets, known, f"file in {SECRETS_DIR_VARIABLE}")
    try:
        settings = process_type(**arguments)
    except ValidationError as error:
        raise SettingsError("; ".join(_error_lines(process_type, error))) from None
    _refuse_equal_keys(settings)
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
    settings._read_again = partial(load_settings, settings_type, deployment=deployment, **arguments)
    return settings


def can_reload(settings: ServiceSettings) -> bool:
    """Whether these settings were read from their sources, so that they can be read again."""
    return settings._read_again is not None


def reload_settings(settings: Settings) -> Settings:
    """What the sources of these settings say now. The settings themselves do not change: the caller takes what may.

    Raises SettingsError as `load_settings` does, also for files that cannot be read.
    """
    assert settings._read_again is not None, "these settings were not loaded"
    try:
        return cast("Settings", settings._read_again())
    except SettingsError:
        raise
    except (OSError, ValueError) as error:  # of a file; the text may quote what is in it
        raise SettingsError(f"the files of settings cannot be read: {type(error).__name__}") from None


FileStamps: TypeAlias = Mapping[Path, tuple[int, int, int] | None]
"""Of files: when each was written, its size, and which file it is. None for one that cannot be looked at."""


def stamp_setting_files() -> FileStamps:
    """The files that settings are read from, as they are now. A difference says that some may have changed."""
    directory, config = os.environ.get(SECRETS_DIR_VARIABLE), os.environ.get(CONFIG_VARIABLE)
    paths = [Path(config)] if config else []
    if directory:
        try:
            paths += [path for path in sorted(Path(directory).iterdir()) if not path.name.startswith(".")]
        except OSError:
            paths.append(Path(directory))
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def join_names(names: Sequence[str]) -> str:
    """Returns "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def list_setting_origins(settings: ServiceSettings) -> list[SettingOrigin]:
    """Returns every setting with its value (secrets masked) and its source, sorted by name."""
    return [
        SettingOrigin(_variable_name(path), _mask_secrets(value), settings._origins.get(path, "default"))
        for path, value in sorted(dict(_values_in(settings)).items())
    ]


def known_variables(settings_type: type[ServiceSettings]) -> frozenset[str]:
    """Returns the names of the environment variables that these settings are read from."""
    names = {_variable_name(path) for path, _ in _values_in(settings_type.model_construct())}
    return frozenset(names | {CONFIG_VARIABLE, SECRETS_DIR_VARIABLE})


def _combine(settings_type: type[Settings], deployment: Sequence[type[ServiceSettings]]) -> type[Settings]:
    """Returns a subclass of `settings_type` that has the fields of the other types as well."""
    others = tuple(other for other in deployment if not issubclass(settings_type, other))
    if not others:
        return settings_type
    return type(settings_type.__name__, (settings_type, *others), {"__module__": settings_type.__module__})


def _refuse_equal_keys(settings: ServiceSettings) -> None:
    """Raises SettingsError where one key is given for two purposes: who may use one could then do the other as well."""
    seen: dict[str, str] = {}
    for name in KEY_NAMES:
        key = getattr(settings, name, None)
        if not isinstance(key, SecretStr):
            continue
        first = seen.setdefault(key.get_secret_value(), name)
        if first != name:
            raise SettingsError(
                f"{_variable_name([first])} and {_variable_name([name])} are the same key: give each its own, "
                "`openssl rand -hex 32` makes one"
            )


def _refuse_unknown(names: Iterable[str], known: frozenset[str], source_name: str) -> None:
    for name in sorted(names):
        if _is_tactful_variable(name) and name.upper() not in known:
            raise SettingsError(f"unknown {source_name} {name}{did_you_mean(name.upper(), known)}")


def _is_tactful_variable(name: str) -> bool:
    return name.upper().startswith(ENV_PREFIX)


def _secret_file_names() -> list[str]:
    directory = os.environ.get(SECRETS_DIR_VARIABLE)
    if not directory:
        return []
    try:
        files = sorted(entry.name for entry in Path(directory).iterdir() if entry.is_file())
        return [name for name in files if not name.startswith(".")]
    except OSError as error:
        raise SettingsError(f"{SECRETS_DIR_VARIABLE}: cannot read {directory}: {error.strerror}") from None


def _read_toml() -> dict[str, Any]:
    file = os.environ.get(CONFIG_VARIABLE)
    if not file:
        return {}
    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{CONFIG_VARIABLE}: cannot read {file}: {reason}") from None


def _error_lines(settings_type: type[BaseModel], error: ValidationError) -> Iterator[str]:
    locations = [_error_location(item) for item in error.errors(include_url=False, include_input=False)]
    for location, (_, _, detail) in zip(locations, to_problems(settings_type, error), strict=True):
        yield f"{_variable_name(location)}: {detail}"


def _error_location(item: ErrorDetails) -> tuple[int | str, ...]:
    cause = item.get("ctx", {}).get("error")
    return (*item["loc"], cause.field) if isinstance(cause, FieldError) else item["loc"]


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
        value = getattr(model, name, None)
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
    text = re.sub(r"(?<=://)([^/:@]*):.*(?=@)", rf"\1:{MASK}", str(value))  # to the last @: a password may hold one
    return _SECRET_IN_QUERY.sub(rf"\g<name>{MASK}", text)


_SECRET_IN_QUERY = re.compile(
    r"(?<=[?&])(?P<name>[\w.-]*(?:pass|pwd|secret|token|key|sig|auth|credential|code)[\w.-]*=)[^&#\s]*", re.IGNORECASE
)
"""A parameter of a URL whose name says that its value is a secret."""

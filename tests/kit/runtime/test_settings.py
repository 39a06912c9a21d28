import os
from pathlib import Path

import pytest
from pydantic import Field

from services.kit.runtime.section import Section
from services.kit.runtime.settings import (
    MASK,
    Seconds,
    SecretKey,
    ServiceSettings,
    SettingsError,
    WebSettings,
    list_setting_origins,
    load_settings,
)

SECRET = "canary-secret-of-32-characters-xx"


class WorkerSettings(ServiceSettings):
    """A service that needs a key."""

    service_key: SecretKey


class BreakSettings(Section):
    """A section with a rule and a secret."""

    length: Seconds = 30.0
    url: str | None = Field(default=None, repr=False)
    secret: SecretKey | None = None


class TeaSettings(ServiceSettings):
    """A service with a section and a default port of its own."""

    web: WebSettings = WebSettings(port=8002)
    tea: BreakSettings = BreakSettings()
    cups: dict[str, str] = Field(default_factory=lambda: {"large": "blue"})


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("TACTFUL_"):
            monkeypatch.delenv(name)


def test_defaults_are_enough_to_start() -> None:
    settings = load_settings(ServiceSettings)
    assert settings.kafka.bootstrap is None
    assert settings.kafka.events_topic == "customer.events"
    assert (settings.web.port, settings.web.max_body, settings.database.pool) == (8000, 1024 * 1024, 8)


def test_the_environment_names_section_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_DATABASE__URL", "postgresql+asyncpg://u:p@db/tactful")
    monkeypatch.setenv("TACTFUL_KAFKA__EVENTS_TOPIC", "events")
    monkeypatch.setenv("TACTFUL_CUPS__LARGE", "red")
    monkeypatch.setenv("TACTFUL_ADMIN_KEY", SECRET)
    monkeypatch.setenv("TACTFUL_TEA__SECRET", SECRET)
    monkeypatch.setenv("TACTFUL_DATA_DIR", "/data")
    settings = load_settings(TeaSettings)
    assert settings.database.url == "postgresql+asyncpg://u:p@db/tactful"
    assert settings.kafka.events_topic == "events"
    assert settings.cups == {"large": "red"}
    assert settings.require("admin_key") == settings.require("tea.secret") == SECRET
    assert settings.data_dir == Path("/data")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("TACTFUL_DATABSE__URL", "unknown environment variable TACTFUL_DATABSE__URL, did you mean `TACTFUL_DATABASE__"),
        ("TACTFUL_ADMINKEY", "unknown environment variable TACTFUL_ADMINKEY, did you mean `TACTFUL_ADMIN_KEY`?"),
        ("TACTFUL_KAFKA", "unknown environment variable TACTFUL_KAFKA"),
        ("TACTFUL_TEA__LENGTH", "unknown environment variable TACTFUL_TEA__LENGTH"),
        ("tactful_database__ulr", "unknown environment variable tactful_database__ulr"),
    ],
)  # fmt: skip
def test_an_unknown_variable_refuses_with_one_line(monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    monkeypatch.setenv(name, "canary")
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings)
    assert str(caught.value).startswith(line)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_takes_the_variables_of_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = (WorkerSettings, TeaSettings)
    monkeypatch.setenv("TACTFUL_SERVICE_KEY", SECRET)
    monkeypatch.setenv("TACTFUL_TEA__LENGTH", "10")
    with pytest.raises(SettingsError, match="unknown environment variable TACTFUL_TEA__LENGTH"):
        load_settings(WorkerSettings)
    settings = load_settings(WorkerSettings, deployment=deployment)
    assert isinstance(settings, WorkerSettings)
    assert settings.web.port == 8000, "defaults that differ are those of the service itself"
    assert ("TACTFUL_TEA__LENGTH", "10.0", "environment") in list_setting_origins(settings)
    assert load_settings(TeaSettings, deployment=deployment).web.port == 8002


def test_a_wrong_value_for_another_service_of_the_deployment_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_SERVICE_KEY", SECRET)
    monkeypatch.setenv("TACTFUL_TEA__LENGTH", "-1")
    with pytest.raises(SettingsError, match="TACTFUL_TEA__LENGTH: "):
        load_settings(WorkerSettings, deployment=(TeaSettings,))
    monkeypatch.setenv("TACTFUL_TEA__LENGHT", "1")
    with pytest.raises(SettingsError, match="did you mean `TACTFUL_TEA__LENGTH`"):
        load_settings(WorkerSettings, deployment=(TeaSettings,))


def test_one_key_for_two_purposes_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_SERVICE_KEY", SECRET)
    monkeypatch.setenv("TACTFUL_ADMIN_KEY", SECRET)
    with pytest.raises(SettingsError, match="TACTFUL_ADMIN_KEY and TACTFUL_SERVICE_KEY are the same key") as refused:
        load_settings(WorkerSettings)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("TACTFUL_DATABASE__POOL", "canary", "TACTFUL_DATABASE__POOL: input should be a valid integer"),
        ("TACTFUL_DATABASE__POOL", "0", "TACTFUL_DATABASE__POOL: input should be greater"),
        ("TACTFUL_DATABASE__URL", "mysql://u:canary@db/x", "TACTFUL_DATABASE__URL: write postgresql+asyncpg://"),
        ("TACTFUL_DATABASE__URL", "postgresql://canary@db/x", "TACTFUL_DATABASE__URL: write postgresql+asyncpg://"),
        ("TACTFUL_DATABASE__URL", "   ", "TACTFUL_DATABASE__URL: write postgresql+asyncpg://"),
        ("TACTFUL_DATABASE__URL", "postgresql+asyncpg://canary@db:99999/x", "TACTFUL_DATABASE__URL: write postgresql"),
        ("TACTFUL_DATABASE__URL", "postgresql+asyncpg://u:canary@x@db/x", "TACTFUL_DATABASE__URL: write `@` as %40"),
        ("TACTFUL_DATABASE__URL", "postgresql+asyncpg://u:canary/x@db/x", "TACTFUL_DATABASE__URL: write `@` as %40"),
        ("TACTFUL_KAFKA__EVENTS_TOPIC", "canary events!", "TACTFUL_KAFKA__EVENTS_TOPIC: a topic's name has"),
        ("TACTFUL_KAFKA__EVENTS_TOPIC", "..", "TACTFUL_KAFKA__EVENTS_TOPIC: a topic's name has"),
        ("TACTFUL_ADMIN_KEY", "short-canary", "TACTFUL_ADMIN_KEY: a key needs at least 16 characters"),
        ("TACTFUL_SERVICE_KEY", "x" * 15, "TACTFUL_SERVICE_KEY: a key needs at least 16 characters"),
        ("TACTFUL_ADMIN_KEY", "a" * 32, "TACTFUL_ADMIN_KEY: a key needs at least 6 different characters"),
        ("TACTFUL_SERVICE_KEY", "abcab" * 5, "TACTFUL_SERVICE_KEY: a key needs at least 6 different characters"),
        ("TACTFUL_ADMIN_KEY", " " * 20, "TACTFUL_ADMIN_KEY: a key needs at least 6 different characters"),
        ("TACTFUL_ADMIN_KEY", "a key with blanks in it", "TACTFUL_ADMIN_KEY: a key has only ASCII letters, digits"),
        ("TACTFUL_ADMIN_KEY", "очень-тайный-ключ", "TACTFUL_ADMIN_KEY: a key has only ASCII letters, digits and signs"),
        ("TACTFUL_ADMIN_KEY", f"{SECRET}\n", "TACTFUL_ADMIN_KEY: a key has only ASCII letters, digits and signs"),
        ("TACTFUL_TEA__LENGTH", "nan", "TACTFUL_TEA__LENGTH: "),
        ("TACTFUL_TEA__LENGTH", "-1", "TACTFUL_TEA__LENGTH: "),
        ("TACTFUL_WEB__PORT", "70000", "TACTFUL_WEB__PORT: "),
        ("TACTFUL_LOG_LEVEL", "loud", "TACTFUL_LOG_LEVEL: "),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str
) -> None:
    monkeypatch.setitem(os.environb, name.encode(), value.encode())  # whatever the locale can name
    with pytest.raises(SettingsError) as caught:
        load_settings(TeaSettings)
    assert str(caught.value).startswith(part)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_secret_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_SERVICE_KEY: the field `service_key` is required"):
        load_settings(WorkerSettings)
    with pytest.raises(SettingsError, match="TACTFUL_ADMIN_KEY is not set"):
        load_settings(ServiceSettings).require("admin_key")
    with pytest.raises(SettingsError, match="TACTFUL_DATABASE__URL is not set"):
        load_settings(ServiceSettings).require("database.url")


def test_a_services_own_defaults_stay_when_another_key_of_the_section_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_WEB__HOST", "0.0.0.0")
    web = load_settings(TeaSettings).web
    assert (web.host, web.port) == ("0.0.0.0", 8002)
    assert load_settings(TeaSettings, web={"port": 9}).web.port == 9


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_KAFKA__BOOTSTRAP", "")
    monkeypatch.setenv("TACTFUL_ADMIN_KEY", "")
    settings = load_settings(ServiceSettings)
    assert settings.kafka.bootstrap is None
    assert settings.admin_key is None


def test_a_file_gives_what_the_environment_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tactful.toml"
    file.write_text('data_dir = "/file"\n[kafka]\nbootstrap = "file:9092"\nevents_topic = "from-file"\n')
    monkeypatch.setenv("TACTFUL_CONFIG", str(file))
    monkeypatch.setenv("TACTFUL_KAFKA__EVENTS_TOPIC", "from-environment")
    settings = load_settings(ServiceSettings, web={"port": 9000})
    assert settings.kafka.bootstrap == "file:9092"
    assert settings.kafka.events_topic == "from-environment"
    found = {item.name: (item.value, item.origin) for item in list_setting_origins(settings)}
    assert found["TACTFUL_KAFKA__BOOTSTRAP"] == ("file:9092", f"file {file}")
    assert found["TACTFUL_DATA_DIR"] == ("/file", f"file {file}")
    assert found["TACTFUL_KAFKA__EVENTS_TOPIC"] == ("from-environment", "environment")
    assert found["TACTFUL_WEB__PORT"] == ("9000", "argument")
    assert found["TACTFUL_WEB__HOST"] == ("127.0.0.1", "default")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[kafka]\nbotstrap = 'x'\n", "TACTFUL_KAFKA__BOTSTRAP: unknown field `botstrap`, did you mean `bootstrap`?"),
        ("datadir = 'x'\n", "TACTFUL_DATADIR: unknown field `datadir`, did you mean `data_dir`?"),
        ("not toml", "TACTFUL_CONFIG: cannot read"),
    ],
)
def test_a_file_that_is_not_understood_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, part: str
) -> None:
    file = tmp_path / "tactful.toml"
    file.write_text(text)
    monkeypatch.setenv("TACTFUL_CONFIG", str(file))
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings)
    assert str(caught.value).startswith(part)


def test_a_file_that_is_not_there_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_CONFIG", "/nowhere/tactful.toml")
    with pytest.raises(SettingsError, match="cannot read /nowhere"):
        load_settings(ServiceSettings)


def test_secrets_may_be_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "TACTFUL_ADMIN_KEY").write_text(f"{SECRET}\n")
    (tmp_path / "tactful_database__url").write_text("postgresql+asyncpg://u:p@db/x")
    monkeypatch.setenv("TACTFUL_SECRETS_DIR", str(tmp_path))
    settings = load_settings(ServiceSettings)
    assert settings.require("admin_key") == SECRET
    assert settings.database.url == "postgresql+asyncpg://u:p@db/x"
    assert ("TACTFUL_ADMIN_KEY", MASK, f"file in {tmp_path}") in list_setting_origins(settings)
    (tmp_path / "TACTFUL_ADMIN_KYE").write_text("x")
    with pytest.raises(SettingsError, match="did you mean `TACTFUL_ADMIN_KEY`"):
        load_settings(ServiceSettings)
    monkeypatch.setenv("TACTFUL_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="TACTFUL_SECRETS_DIR: cannot read"):
        load_settings(ServiceSettings)


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_KEY", "SERVICE_KEY", "TEA__SECRET"):
        monkeypatch.setenv(f"TACTFUL_{name}", f"{SECRET}-{name}")
    monkeypatch.setenv("TACTFUL_DATABASE__URL", "postgresql+asyncpg://tactful:canary-password@db:5432/tactful")
    monkeypatch.setenv("TACTFUL_TEA__URL", "https://user:canary-password@hooks/x")
    settings = load_settings(TeaSettings)
    shown = list_setting_origins(settings)
    assert "canary" not in f"{settings!r} {settings} {shown}"
    assert ("TACTFUL_DATABASE__URL", f"postgresql+asyncpg://tactful:{MASK}@db:5432/tactful", "environment") in shown


@pytest.mark.parametrize("place", ["://tactful:canary/@password@db", "://canary@db", "://db/x?password=canary&ssl=1"])
def test_no_spelling_of_a_password_is_shown(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("TACTFUL_TEA__URL", place.replace("://canary", "://me:canary"))
    assert "canary" not in str(list_setting_origins(load_settings(TeaSettings)))


def test_settings_do_not_change_after_the_start() -> None:
    settings = load_settings(ServiceSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.data_dir = Path("/other")
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1

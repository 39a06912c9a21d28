"""The settings of the three services, together and each alone."""

import os
from pathlib import Path

import pytest

from schemas.documents import MAX_COMPARED_NAMES
from schemas.vocabulary import CHANNELS
from services.deployment_settings import SERVICE_SETTINGS, DeploymentSettings
from services.kit.runtime.settings import MASK, SettingsError, known_variables, list_setting_origins, load_settings
from services.orchestrator.settings import OrchestratorSettings
from services.preference.settings import PreferenceSettings
from services.suppression.settings import SuppressionSettings

SECRET = "canary-secret-of-32-characters-xx"
SANDBOX = dict.fromkeys(CHANNELS, "sandbox")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("TACTFUL_"):
            monkeypatch.delenv(name)


def test_each_service_has_a_port_of_its_own() -> None:
    types = (OrchestratorSettings, PreferenceSettings, SuppressionSettings, DeploymentSettings)
    assert [load_settings(each, deployment=SERVICE_SETTINGS).web.port for each in types] == [8000, 8001, 8002, 8000]


def test_every_service_takes_the_variables_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_DISPATCH__DEADLINE", "10")
    monkeypatch.setenv("TACTFUL_SERVICES__PREFERENCE_URL", "http://preference:8001")
    for settings_type in (PreferenceSettings, SuppressionSettings, OrchestratorSettings):
        settings = load_settings(settings_type, deployment=SERVICE_SETTINGS)
        assert settings.services.preference_url == "http://preference:8001"
        assert ("TACTFUL_DISPATCH__DEADLINE", "10.0", "environment") in list_setting_origins(settings)
        assert known_variables(type(settings)) == known_variables(DeploymentSettings)
    monkeypatch.setenv("TACTFUL_DISPATCH__SLACK", "-1")
    with pytest.raises(SettingsError, match="TACTFUL_DISPATCH__SLACK: "):
        load_settings(PreferenceSettings, deployment=SERVICE_SETTINGS)


def test_a_channel_that_is_not_mentioned_keeps_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(DeploymentSettings).adapters == SANDBOX
    monkeypatch.setenv("TACTFUL_ADAPTERS__IN_APP", "webhook")
    assert load_settings(DeploymentSettings).adapters == SANDBOX | {"in_app": "webhook"}


def test_an_unknown_channel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tactful.toml"
    file.write_text("[adapters]\nfax = 'x'\n")
    monkeypatch.setenv("TACTFUL_CONFIG", str(file))
    with pytest.raises(SettingsError, match="TACTFUL_ADAPTERS: unknown channel `fax`"):
        load_settings(DeploymentSettings)
    monkeypatch.setenv("TACTFUL_ADAPTERS__FAX", "x")
    with pytest.raises(SettingsError, match="unknown environment variable TACTFUL_ADAPTERS__FAX"):
        load_settings(DeploymentSettings)


def test_secrets_of_the_services_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_KEY", "SERVICE_KEY", "ADDRESS_KEY", "WEBHOOK__SECRET"):
        monkeypatch.setenv(f"TACTFUL_{name}", f"{SECRET}-{name}")
    monkeypatch.setenv("TACTFUL_WEBHOOK__URL", "https://user:canary-password@hooks/x?v=1&access_token=canary&n=2")
    settings = load_settings(DeploymentSettings)
    shown = list_setting_origins(settings)
    assert "canary" not in f"{settings!r} {settings} {shown}"
    masked = f"https://user:{MASK}@hooks/x?v=1&access_token={MASK}&n=2"
    assert ("TACTFUL_WEBHOOK__URL", masked, "environment") in shown


def test_a_misspelt_setting_is_compared_with_every_one() -> None:
    assert len(known_variables(DeploymentSettings)) <= MAX_COMPARED_NAMES

"""Settings of TLS between the services that cannot work are refused: which one, why, and the remedy."""

import os
from pathlib import Path

import pytest

from services.clients.connections import service_tls
from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TACTFUL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WEB__KEY_FILE": "/k"}, "TACTFUL_WEB__KEY_FILE: needs TACTFUL_WEB__CERTIFICATE_FILE, the certificate of it"),
        (
            {"WEB__CERTIFICATE_FILE": "/c"},
            "TACTFUL_WEB__CERTIFICATE_FILE: needs TACTFUL_WEB__KEY_FILE, the private key",
        ),
        ({"SERVICES__CA_FILE": "/ca"}, "TACTFUL_SERVICES__CA_FILE: has no effect, because no service has an address"),
    ],
)
def test_what_has_no_effect_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"TACTFUL_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings(DeploymentSettings)
    assert str(caught.value).startswith(said)


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    services = {"orchestrator_url": "https://tactful", "ca_file": tmp_path / "missing.pem"}
    with pytest.raises(SettingsError, match=r"TACTFUL_SERVICES__CA_FILE: .*missing.pem cannot be read"):
        service_tls(load_settings(DeploymentSettings, services=services))

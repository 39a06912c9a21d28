"""Settings of a connection to Kafka that do not fit together are refused: which one, why, and the remedy."""

import os
from pathlib import Path

import pytest

from services.kit.bus.kafka_connection import connect_by
from services.kit.runtime.settings import MASK, ServiceSettings, SettingsError, list_setting_origins, load_settings

TOKEN = {"TOKEN_URL": "https://id.example/token", "CLIENT_ID": "me", "CLIENT_SECRET": "canary"}
SCRAM = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512"}
OAUTH = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TACTFUL_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> ServiceSettings:
    monkeypatch.setenv("TACTFUL_KAFKA__BOOTSTRAP", "kafka:9093")
    for name, value in given.items():
        monkeypatch.setenv(f"TACTFUL_KAFKA__{name}", value)
    return load_settings(ServiceSettings)


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        ({"SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL", "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ({"USERNAME": "me"}, "USERNAME", "no effect with TACTFUL_KAFKA__SECURITY_PROTOCOL=PLAINTEXT: set SASL_SSL"),
        ({"PASSWORD": "canary"}, "PASSWORD", "no effect with TACTFUL_KAFKA__SECURITY_PROTOCOL=PLAINTEXT"),
        ({"CA_FILE": "/ca.pem"}, "CA_FILE", "no effect with TACTFUL_KAFKA__SECURITY_PROTOCOL=PLAINTEXT: set SSL or"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "USERNAME": "me"}, "SASL_MECHANISM", "is not set, and TACTFUL_KAFKA__SECUR"),
        ({**SCRAM, "SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM", "'SCRAM-SHA-256', 'SCRAM-SHA-512'"),
        ({**SCRAM, "USERNAME": "me"}, "PASSWORD", "is not set, and TACTFUL_KAFKA__SASL_MECHANISM=SCRAM-SHA-512 needs"),
        ({**SCRAM, "PASSWORD": "canary"}, "USERNAME", "is not set"),
        ({**SCRAM, "USERNAME": "me", "PASSWORD": "canary", "SCOPE": "x"}, "SCOPE", "remove it, or set OAUTHBEARER"),
        ({"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_FILE": "/c"}, "CERTIFICATE_FILE", "needs TACTFUL_KAFKA__KEY_FILE"),
        ({"SECURITY_PROTOCOL": "SSL", "KEY_FILE": "/k"}, "KEY_FILE", "needs TACTFUL_KAFKA__CERTIFICATE_FILE"),
        ({"SECURITY_PROTOCOL": "SSL", "SASL_MECHANISM": "PLAIN"}, "SASL_MECHANISM", "set SASL_SSL, and a mechanism"),
        ({**OAUTH, **TOKEN, "TOKEN_URL": ""}, "TOKEN_URL", "is not set"),
        ({**OAUTH, **TOKEN, "CLIENT_ID": "a:b"}, "CLIENT_ID", "no colon"),
        ({**OAUTH, **TOKEN, "USERNAME": "me"}, "USERNAME", "no effect with TACTFUL_KAFKA__SASL_MECHANISM=OAUTHBEARER"),
        (
            {
                **SCRAM,
                "SASL_MECHANISM": "PLAIN",
                "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "USERNAME": "u",
                "PASSWORD": "p",
            },
            "SECURITY_PROTOCOL",
            "would send the password in the clear",
        ),
        ({**OAUTH, **TOKEN, "SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "SECURITY_PROTOCOL", "the token in the clear"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, given)
    said = str(caught.value)
    assert said.startswith(f"TACTFUL_KAFKA__{named}: ") and words in said
    assert "canary" not in said and "\n" not in said


def test_files_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("not a certificate")
    for name, value, words in (
        (
            "CA_FILE",
            tmp_path / "missing.pem",
            "missing.pem cannot be read (No such file or directory): name a file with",
        ),
        ("CA_FILE", tmp_path / "no.pem", "no.pem cannot be used"),
        ("CA_FILE", tmp_path, "cannot be read"),
        ("CERTIFICATE_FILE", tmp_path / "missing.pem", "missing.pem cannot be read (No such file or directory)"),
    ):
        given = {"SECURITY_PROTOCOL": "SSL", name: str(value)}
        if name == "CERTIFICATE_FILE":
            given["KEY_FILE"] = str(value)
            monkeypatch.delenv("TACTFUL_KAFKA__CA_FILE")
        with pytest.raises(SettingsError) as caught:
            connect_by(read(monkeypatch, given))
        assert str(caught.value).startswith(f"TACTFUL_KAFKA__{name}: ") and words in str(caught.value)


def test_secrets_come_from_files_and_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "TACTFUL_KAFKA__PASSWORD").write_text("canary\n")
    monkeypatch.setenv("TACTFUL_SECRETS_DIR", str(tmp_path))
    settings = read(monkeypatch, {**SCRAM, "USERNAME": "me"})
    assert connect_by(settings).password == "canary"
    shown = {item.name: item.value for item in list_setting_origins(settings)}
    assert shown["TACTFUL_KAFKA__PASSWORD"] == MASK
    assert "canary" not in repr(settings) and "canary" not in repr(connect_by(settings))


def test_secrets_in_addresses_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    database = "postgresql+asyncpg://me:canary-1@db/t?sslrootcert=/ca.pem&sslpassword=canary-2"
    monkeypatch.setenv("TACTFUL_DATABASE__URL", database)
    token_url = "https://me:canary-3@id.example/token?api_key=canary-4"
    settings = read(monkeypatch, {**OAUTH, **TOKEN, "TOKEN_URL": token_url})
    shown = {item.name: item.value for item in list_setting_origins(settings)}
    assert "canary" not in str(shown) and "sslrootcert=/ca.pem" in shown["TACTFUL_DATABASE__URL"]

"""Each setting that `tactful dev` is given takes effect, or prevents the start with a line that names it."""

import json
from pathlib import Path

import httpx
import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY
from services.deployment_settings import DeploymentSettings
from services.development import dev_settings
from services.kit.runtime.kafka_settings import KafkaSettings
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from services.lab.lab_keys import LabKeys
from tests.support.command_line import product, run
from tests.support.fresh_databases import migrate
from tests.support.servers import free_port

REFUSED = {
    "TACTFUL_DATABASE__URL": "sqlite+aiosqlite:///elsewhere.db",
    "TACTFUL_KAFKA__BOOTSTRAP": "kafka:9092",
    "TACTFUL_KAFKA__SECURITY_PROTOCOL": "SSL",
    "TACTFUL_WEB__CERTIFICATE_FILE": "/certificate.pem",
    "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://orchestrator:8000",
    "TACTFUL_SERVICES__PREFERENCE_URL": "http://preference:8001",
    "TACTFUL_SERVICES__SUPPRESSION_URL": "http://suppression:8002",
}
TAKES_EFFECT = {
    "TACTFUL_DATABASE__POOL": "3",
    "TACTFUL_KAFKA__EVENTS_TOPIC": "shop.events",
    "TACTFUL_KAFKA__MESSAGES_TOPIC": "shop.messages",
    "TACTFUL_KAFKA__OPTOUTS_TOPIC": "shop.optouts",
    "TACTFUL_WEB__HOST": "0.0.0.0",
    "TACTFUL_WEB__PORT": "8123",
    "TACTFUL_WEB__MAX_BODY": "2048",
    "TACTFUL_WEB__PUBLIC_URL": "https://tactful.example",
    "TACTFUL_DATA_DIR": "another-directory",
    "TACTFUL_LOG_LEVEL": "debug",
    "TACTFUL_REGION": "DE",
    "TACTFUL_ADMIN_KEY": "an-admin-key-that-was-given",
    "TACTFUL_SERVICE_KEY": "a-service-key-that-was-given",
    "TACTFUL_ADDRESS_KEY": "an-address-key-that-was-given",
    "TACTFUL_LINK_KEY": "a-link-key-that-was-given",
    "TACTFUL_OLD_LINK_KEYS": "a-link-key-of-before, another-one-of-before",
    "TACTFUL_COLUMN_KEYS": "2026:" + "0123456789abcdef" * 4,
    "TACTFUL_CENTRE__NAME": "Shop",
    "TACTFUL_CENTRE__LEGAL_LINE": "Shop Ltd, 1 Example Street",
    "TACTFUL_CENTRE__ACCENT": "#123456",
    "TACTFUL_CENTRE__ACCENT_DARK": "#fedcba",
    "TACTFUL_CENTRE__SUPPORT": "mailto:help@example.org",
    "TACTFUL_CENTRE__PRIVACY_URL": "https://shop.example.org/privacy",
    "TACTFUL_CENTRE__ERASE_URL": "https://shop.example.org/erase",
    "TACTFUL_CENTRE__ACCESSIBILITY_URL": "https://shop.example.org/accessibility",
    "TACTFUL_CENTRE__LANGUAGES": "de,en",
    "TACTFUL_CENTRE__LEAD": '{"en": "Choose."}',
    "TACTFUL_CENTRE__CODE_CHANNELS": "email,sms",
    "TACTFUL_CENTRE__LOGO_FILE": "logo.svg",
    "TACTFUL_CENTRE__LOGO_DARK_FILE": "logo-dark.svg",
    "TACTFUL_DISPATCH__DEADLINE": "7",
    "TACTFUL_DISPATCH__SLACK": "1",
    "TACTFUL_WEB__RATE": "7",
    "TACTFUL_OUTBOUND__NETWORKS": "10.20.0.0/16",
    "TACTFUL_TRACES__ENDPOINT": "http://127.0.0.1:4318",
    "TACTFUL_TRACES__SHARE": "0.5",
    "TACTFUL_DISPATCH__TIMEOUT": "2",
    "TACTFUL_DISPATCH__RATES": "sandbox=7",
    "TACTFUL_DISPATCH__MAX_DUPLICATES": "1",
    "TACTFUL_DISPATCH__ONLY_TO": "*@shop.example.org",
    "TACTFUL_ACCOUNTS": '{"second": {"adapter": "sandbox"}}',
    "TACTFUL_RETENTION__DECISIONS": "400",
    "TACTFUL_CONSENT__PURCHASE_DAYS": "700",
    "TACTFUL_CONSENT__INQUIRY_DAYS": "180",
    "TACTFUL_CONSENT__SOFT_OPT_IN_DAYS": "365",
    "TACTFUL_AGENTS__MESSAGES_PER_DAY": "5",
    "TACTFUL_AUDIT__KEY": "an-audit-key-that-was-given",
    "TACTFUL_AUDIT__HEADS_FILE": "heads.jsonl",
    "TACTFUL_OIDC__CLIENT_ID": "tactful",
    "TACTFUL_OIDC__CLIENT_SECRET": "the-secret-of-the-client",
    "TACTFUL_OIDC__SCOPES": "openid profile groups",
    "TACTFUL_OIDC__ROLE_CLAIM": "realm_access.roles",
    "TACTFUL_OIDC__ROLES": "staff=viewer",
    "TACTFUL_OIDC__PERSON_CLAIM": "email",
    "TACTFUL_OIDC__TOPICS_CLAIM": "topics",
    "TACTFUL_OIDC__OWNERS_CLAIM": "teams",
    "TACTFUL_OIDC__SESSION": "30",
    "TACTFUL_OIDC__CA_FILE": "company.pem",
    "TACTFUL_RETENTION__CONTENTS": "90",
    "TACTFUL_RETENTION__INBOX_KEYS": "60",
    "TACTFUL_RETENTION__SHADOW": "14",
    "TACTFUL_RETENTION__SANDBOX": "20",
    "TACTFUL_RETENTION__JOBS": "10",
    "TACTFUL_RETENTION__EXPORTS": "3",
    "TACTFUL_RETENTION__HISTORY": "500",
    "TACTFUL_RETENTION__CONSENT_PROOF": "2000",
    "TACTFUL_RETENTION__EMBEDDED_LOG": "9",
    "TACTFUL_BOUNCES__LIMIT": "5",
    "TACTFUL_BOUNCES__WITHIN_DAYS": "14",
    "TACTFUL_BOUNCES__REST_DAYS": "60",
    "TACTFUL_TRACKED_LINKS__BASE_URL": "https://links.example.org",
    "TACTFUL_TRACKED_LINKS__KEY": "a-key-of-links-that-was-given",
    "TACTFUL_TRACKED_LINKS__PREVIOUS_KEY": "the-key-of-links-before-that-one",
    "TACTFUL_TRACKED_LINKS__CLASSES": "marketing,service",
    "TACTFUL_TRACKED_LINKS__DAYS": "120",
    "TACTFUL_TRACKED_LINKS__MACHINE_SECONDS": "20",
    "TACTFUL_MAIL__FROM_ADDRESS": "shop@example.org",
    "TACTFUL_MAIL__FROM_NAME": "Shop",
    "TACTFUL_MAIL__REPLY_TO": "answers@example.org",
    "TACTFUL_MAIL__UNSUBSCRIBE_ADDRESS": "stop@example.org",
    "TACTFUL_MAIL__LEGAL_NAME": "Shop Ltd",
    "TACTFUL_MAIL__POSTAL_ADDRESS": "1 Example Street, Exampleton",
    "TACTFUL_MAIL__ATTACHMENT_HOSTS": "files.example.org",
    "TACTFUL_MAIL__ATTACHMENT_KEY": "a-key-of-attachments-that-was-given",
    "TACTFUL_MAIL__SENDERS": '{"marketing": {"name": "Shop News"}}',
}
"""All settings but those of adapters and channels, which are as in production."""
NEED_A_SECURITY_PROTOCOL = {
    f"TACTFUL_KAFKA__{field.upper()}"
    for field in KafkaSettings.model_fields
    if field not in ("bootstrap", "events_topic", "messages_topic", "optouts_topic", "security_protocol")
}
"""Refused without TACTFUL_KAFKA__SECURITY_PROTOCOL, which is refused here."""
NEED_ANOTHER = {
    *("TACTFUL_WEB__KEY_FILE", "TACTFUL_WEB__KEY_PASSWORD", "TACTFUL_SERVICES__CA_FILE"),
    *("TACTFUL_OIDC__ISSUER", "TACTFUL_OIDC__KEY_SIGN_IN"),
}
"""Refused without a certificate or an address with https, which are refused here, or without other settings."""
LAB = LabKeys("0" * 32)
OF_EXTENSIONS = (*ADAPTER_REGISTRY.declarations, *CHANNEL_REGISTRY.declarations)
HIDDEN = ("TACTFUL_ADAPTERS__", *(f"TACTFUL_{id.upper()}__" for id in OF_EXTENSIONS))


@pytest.fixture(autouse=True)
def only_what_a_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in list_setting_origins(DeploymentSettings.model_construct()):
        monkeypatch.delenv(item.name, raising=False)


def test_no_setting_is_forgotten_here() -> None:
    known = {item.name for item in list_setting_origins(DeploymentSettings.model_construct())}
    shown = {name for name in known if not name.startswith(HIDDEN)}
    assert shown == REFUSED.keys() | TAKES_EFFECT.keys() | NEED_A_SECURITY_PROTOCOL | NEED_ANOTHER


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
def test_what_would_have_no_effect_is_refused_by_name(name: str, value: str, tmp_path: Path) -> None:
    given = {name: value}
    if name == "TACTFUL_WEB__CERTIFICATE_FILE":
        given["TACTFUL_WEB__KEY_FILE"] = "/key.pem"
    done = run("dev", "--data-dir", tmp_path, "--port", "0", given=given)
    assert done.code == 1
    assert done.err.startswith(f"tactful dev: {name} (environment) has no effect here, because ")
    assert done.err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_toml_file_is_held_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "tactful.toml"
    file.write_text('[kafka]\nbootstrap = "kafka:9092"\n')
    done = run("dev", "--data-dir", tmp_path / "data", "--port", "0", given={"TACTFUL_CONFIG": str(file)})
    assert done.code == 1 and done.err.startswith(f"tactful dev: TACTFUL_KAFKA__BOOTSTRAP (file {file}) has no effect")


def test_defaults_that_are_spelt_out_are_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACTFUL_SERVICES__PREFERENCE_URL", "http://127.0.0.1:8001")
    monkeypatch.setenv("TACTFUL_WEB__PORT", "8123")
    monkeypatch.setenv("TACTFUL_SERVICES__ORCHESTRATOR_URL", "http://127.0.0.1:8123")
    dev_settings.read_given_settings()


_LINK_KEY = {"TACTFUL_TRACKED_LINKS__KEY": "a-key-of-links-that-was-given"}
NEEDED = {"TACTFUL_TRACKED_LINKS__BASE_URL": _LINK_KEY, "TACTFUL_TRACKED_LINKS__PREVIOUS_KEY": _LINK_KEY}
"""What must be set beside a setting."""


@pytest.mark.parametrize(("name", "value"), TAKES_EFFECT.items())
def test_what_is_given_is_what_it_runs_with(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for other, needed in NEEDED.get(name, {}).items():
        monkeypatch.setenv(other, needed)
    given = dev_settings.read_given_settings()
    keys = dev_settings.load_or_create_keys(tmp_path, given)
    settings = dev_settings.complete_settings(given, given.data_dir, given.web.port, keys, LAB)
    wanted = load_settings(DeploymentSettings)
    part = name.removeprefix("TACTFUL_").lower().split("__")
    for attribute in part:
        settings, wanted = getattr(settings, attribute), getattr(wanted, attribute)
    assert settings == wanted


def test_without_an_address_of_its_own_the_links_lead_to_where_it_listens(tmp_path: Path) -> None:
    given = dev_settings.read_given_settings()
    keys = dev_settings.load_or_create_keys(tmp_path, given)
    settings = dev_settings.complete_settings(given, tmp_path, 8042, keys, LAB)
    assert settings.web.public_url == "http://127.0.0.1:8042"


def test_the_sandbox_takes_the_demos_receipts_unless_a_secret_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dev_settings.read_given_settings()
    keys = dev_settings.load_or_create_keys(tmp_path, given)
    own = dev_settings.complete_settings(given, tmp_path, 8042, keys, LAB).settings_of("sandbox").secret
    assert own.get_secret_value() == dev_settings.sandbox_secret(LAB)
    monkeypatch.setenv("TACTFUL_SANDBOX__SECRET", "whsec_" + "A" * 44)
    given = dev_settings.read_given_settings()
    changed = dev_settings.complete_settings(given, tmp_path, 8042, keys, LAB).settings_of("sandbox").secret
    assert changed.get_secret_value() == "whsec_" + "A" * 44


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(host: str, address: str) -> None:
    assert dev_settings.address_of(host, 80) == address


def test_keys_that_were_given_are_found_by_later_commands_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings())
    monkeypatch.setenv("TACTFUL_ADMIN_KEY", TAKES_EFFECT["TACTFUL_ADMIN_KEY"])
    second = dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings())
    assert second == {**first, "admin": TAKES_EFFECT["TACTFUL_ADMIN_KEY"]}
    path = tmp_path / dev_settings.KEYS_FILE
    assert json.loads(path.read_text()) == second and path.stat().st_mode & 0o077 == 0


def test_another_address_key_than_that_of_the_directory_is_refused_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings())
    monkeypatch.setenv("TACTFUL_ADDRESS_KEY", TAKES_EFFECT["TACTFUL_ADDRESS_KEY"])
    with pytest.raises(SettingsError, match="TACTFUL_ADDRESS_KEY is not the key under which"):
        dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings())
    monkeypatch.delenv("TACTFUL_ADDRESS_KEY")
    assert dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings()) == first


@pytest.mark.parametrize("content", ["[]", '"text"', '{"admin": 5}', "{", "[" * 100_000], ids=lambda text: text[:10])
def test_keys_that_cannot_be_read_are_named_and_left_as_they_are(tmp_path: Path, content: str) -> None:
    path = tmp_path / dev_settings.KEYS_FILE
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"keys.*: restore this file"):
        dev_settings.load_or_create_keys(tmp_path, dev_settings.read_given_settings())
    assert path.read_text() == content


@pytest.mark.wired
def test_a_running_server_follows_what_it_was_given(tmp_path: Path) -> None:
    admin, directory = TAKES_EFFECT["TACTFUL_ADMIN_KEY"], tmp_path / "data"
    given = {
        "TACTFUL_ADMIN_KEY": admin,
        "TACTFUL_WEB__PUBLIC_URL": "https://tactful.example",
        "TACTFUL_WEB__MAX_BODY": "2048",
        "TACTFUL_LOG_LEVEL": "info",
    }
    directory.mkdir(mode=0o755)
    with product(directory, "--no-demo", **given) as running:
        assert [path for path in (directory, *directory.rglob("*")) if path.stat().st_mode & 0o077] == []
        log = (tmp_path / "dev.log").read_text()
        assert "Console   https://tactful.example/console/" in log and f"Address   {running.address}" in log
        assert '"action": "started"' in log
        headers = {"Authorization": f"Bearer {admin}"}
        assert httpx.get(f"{running.address}/v1/campaigns", headers=headers).status_code == 200
        large = httpx.post(f"{running.address}/v1/events", content=b"x" * 3000, headers=headers)
        assert large.status_code == 413
        same_shell = run("campaigns", "list", given={"TACTFUL_DATA_DIR": str(directory), "TACTFUL_ADMIN_KEY": admin})
        other_shell = run("campaigns", "list", given={"TACTFUL_DATA_DIR": str(directory)})
        assert (same_shell.code, other_shell.code) == (0, 0)
    log = (tmp_path / "dev.log").read_text()
    assert '"action": "stopping"' in log and '"reason": "signal SIGTERM"' in log


@pytest.mark.wired
def test_a_port_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo") as running:
        port = running.address.rpartition(":")[2]
        done = run("dev", "--data-dir", tmp_path / "other", given={"TACTFUL_WEB__PORT": port})
    assert done.code == 1
    assert done.err.startswith(f"tactful dev: cannot listen on 127.0.0.1:{port} (Address already in use): ")
    assert done.err.count("\n") == 1


def test_a_directory_that_cannot_be_written_to_is_refused_in_one_line() -> None:
    done = run("dev", "--data-dir", "/proc/nowhere", "--port", str(free_port()))
    assert done.code == 1 and done.err.startswith("tactful dev: cannot write to /proc/nowhere (")


@pytest.mark.wired
@pytest.mark.parametrize("name", ["orchestrator.db", "suppression.db", "log.db"])
def test_a_file_that_is_no_database_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("this is no database" * 100)
    done = run("dev", "--no-demo", "--port", "0", "--data-dir", tmp_path)
    expected = f"tactful dev: {tmp_path / name} cannot be used (file is not a database): restore it, or choose another"
    assert (done.code, done.err) == (1, f"{expected} --data-dir\n")


@pytest.mark.wired
def test_the_file_of_another_service_is_named_in_one_line(tmp_path: Path) -> None:
    migrate(f"sqlite+aiosqlite:///{tmp_path / 'suppression.db'}", "services.preference")
    done = run("dev", "--no-demo", "--port", "0", "--data-dir", tmp_path)
    path = tmp_path / "suppression.db"
    expected = f"tactful dev: {path} is the database of another service: restore it, or choose another --data-dir\n"
    assert (done.code, done.err) == (1, expected)

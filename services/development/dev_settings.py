"""The settings of `tactful dev`: each that is given takes effect, or prevents the start with a line that names it."""

import fcntl
import ipaddress
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from pydantic import SecretStr

from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from services.lab.lab_keys import LabKeys, LabSecretUnusable
from services.lab.lab_keys import load_or_create_keys as load_or_create_keys_of_lab
from services.lab.providers.webhook import SECRET
from services.lab.webhook_signature import write_webhook_secret

KEYS_FILE: Final = "keys.json"
_WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "TACTFUL_DATABASE__URL": "its databases are files in its data directory",
    "TACTFUL_KAFKA__BOOTSTRAP": "its event log is a file in its data directory",
    "TACTFUL_KAFKA__SECURITY_PROTOCOL": "its event log is a file in its data directory",
    "TACTFUL_SERVICES__ORCHESTRATOR_URL": "all services are one process",
    "TACTFUL_SERVICES__PREFERENCE_URL": "all services are one process",
    "TACTFUL_SERVICES__SUPPRESSION_URL": "all services are one process",
    "TACTFUL_SERVICES__CA_FILE": "all services are one process",
    "TACTFUL_WEB__CERTIFICATE_FILE": "it serves one machine, by http",
}
"""What only services that run alone can use, with the reason."""
_CENTRE: Final = "TACTFUL_CENTRE__"
_KEYS: Final = ("admin", "service", "address")


def read_given_settings() -> DeploymentSettings:
    """What the environment and the files set. Raises SettingsError, also for a setting that would have no effect."""
    given = load_settings(DeploymentSettings)
    defaults = {item.name: item.value for item in list_setting_origins(DeploymentSettings.model_construct())}
    own_address = address_of(given.web.host, given.web.port)
    for item in list_setting_origins(given):
        reason = _WITHOUT_EFFECT.get(item.name)
        if reason is not None and item.value not in (defaults[item.name], own_address):
            raise SettingsError(
                f"{item.name} ({item.origin}) has no effect here, because {reason}: unset it, or start the services "
                "alone (docs/operations.md)"
            )
    return given


def complete_settings(
    given: DeploymentSettings,
    directory: Path,
    port: int,
    keys: Mapping[str, str],
    lab_keys: LabKeys,
    brand: Mapping[str, object] | None = None,
) -> DeploymentSettings:
    """The settings to run with: those given, and for what is not given those of this directory and this port.

    `brand`: of the public pages, unless a setting of it is given.
    """
    web: dict[str, object] = {"port": port}
    sections: dict[str, Any] = {}
    if not is_given(given, "TACTFUL_WEB__PUBLIC_URL"):
        web["public_url"] = address_of(given.web.host, port)
    if not is_given(given, "TACTFUL_SANDBOX__SECRET"):
        sections["sandbox"] = {"secret": sandbox_secret(lab_keys)}
    origins = list_setting_origins(given)
    if brand and all(item.origin == "default" for item in origins if item.name.startswith(_CENTRE)):
        sections["centre"] = dict(brand)
    return load_settings(
        DeploymentSettings,
        data_dir=directory,
        web=web,
        admin_key=keys["admin"],
        service_key=keys["service"],
        address_key=keys["address"],
        **sections,
    )


def sandbox_secret(lab_keys: LabKeys) -> str:
    """With this setting the sandbox takes receipts that are signed with the lab's keys."""
    return write_webhook_secret(lab_keys.derive(SECRET))


def load_or_create_lab_keys(directory: Path) -> LabKeys:
    """The keys of the provider lab that plays in this process. Raises SettingsError."""
    try:
        return load_or_create_keys_of_lab(directory / "lab")
    except LabSecretUnusable as error:
        raise SettingsError(str(error)) from None


def is_given(settings: DeploymentSettings, variable: str) -> bool:
    """Whether a source sets this; a default does not."""
    return any(item.name == variable and item.origin != "default" for item in list_setting_origins(settings))


def address_of(host: str, port: int) -> str:
    """The address at which this machine reaches what listens on `host`."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if ip.is_unspecified:
        ip = ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
    return f"http://[{ip}]:{port}" if ip.version == 6 else f"http://{ip}:{port}"


def lock_data_dir(directory: Path) -> IO[str]:
    """Lock the data directory for this process, for its owner alone: it holds customers' data. Raises SettingsError if
    another process has locked it, or if files cannot be created there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        file = (directory / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot write to {directory} ({error.strerror}): choose another --data-dir") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SettingsError(f"{directory} is in use by another process: stop it or choose another --data-dir") from None
    return file


def load_or_create_keys(directory: Path, given: DeploymentSettings) -> dict[str, str]:
    """The keys of this installation: those given, else those of its file, which the first start creates.

    Keys that are given are written to the file as well, so that commands of another shell find them; only the owner can
    read it. The address key never changes: stored addresses are hashed with it. Raises SettingsError for another one.
    """
    path = directory / KEYS_FILE
    stored = _read_keys(path)
    settings = {"admin": given.admin_key, "service": given.service_key, "address": given.address_key}
    given_keys = {name: key.get_secret_value() for name, key in settings.items() if isinstance(key, SecretStr)}
    if stored and "address" in given_keys and given_keys["address"] != stored.get("address"):
        raise SettingsError(
            f"TACTFUL_ADDRESS_KEY is not the key under which {directory} stores addresses (`address` in {KEYS_FILE}): "
            "unset it, or choose another --data-dir"
        )
    keys = {**{name: f"tk_{secrets.token_urlsafe(32)}" for name in _KEYS}, **stored, **given_keys}
    if keys != stored:
        write_keys(directory, keys)
    return keys


def _read_keys(path: Path) -> dict[str, str]:
    try:
        keys = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"cannot read the keys in {path} ({type(error).__name__}): restore this file") from None
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise SettingsError(f"{path} must hold keys by their names, as texts: restore this file")
    return keys


def write_keys(directory: Path, keys: Mapping[str, str]) -> None:
    """Write the file of keys, readable by its owner alone."""
    path = directory / KEYS_FILE
    temporary_path = path.with_suffix(".new")
    descriptor = os.open(temporary_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(keys, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary_path.replace(path)

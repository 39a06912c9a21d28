"""Settings that the adapters of providers with an HTTP API share, and how they are required and checked."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, SecretStr

from schemas.adapter_registry import SettingsCheck
from services.kit.runtime.section import Section
from services.kit.runtime.settings import SecretKey, SettingsError

AbsenceAge = Annotated[float, Field(ge=0, le=72_000, allow_inf_nan=False)]
"""Seconds after which a provider shows every message that it has had; 0: nobody knows such a time."""


def absence_age(seconds: float) -> float | None:
    """The time as `ProviderSearch` has it."""
    return seconds or None


class MailApiSettings(Section):
    """The key of an account, and where the provider answers: a region of its own has a URL of its own."""

    key: SecretKey | None = None
    url: str


def require_setting(settings: MailApiSettings, id: str, field: str) -> str:
    """The value of a setting of the adapter `id`. Raises SettingsError, which names the variable."""
    value = getattr(settings, field)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        raise SettingsError(f"{_variable(id, field)} is not set, and this process needs it")
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise SettingsError(f"{_variable(id, field)}: write printable ASCII without blanks")
    return str(text)


def check_settings(id: str, *required: str) -> Callable[[Any], SettingsCheck]:
    """What `tactful doctor` asks of the adapter `id`: whether the required fields are set."""

    def check_required(settings: MailApiSettings) -> SettingsCheck:
        missing = [field for field in required if getattr(settings, field) is None]
        if missing:
            variables = " and ".join(_variable(id, field) for field in missing)
            return SettingsCheck(f"{id} without {' and '.join(missing)}", f"set {variables}")
        return SettingsCheck(f"{id}, at {settings.url}")

    return check_required


def _variable(id: str, field: str) -> str:
    return f"TACTFUL_{id}__{field}".upper()

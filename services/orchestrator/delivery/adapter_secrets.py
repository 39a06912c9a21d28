"""Secrets of adapters change without a restart: files of settings are looked at every few seconds.

Only secrets are taken, of adapters that are there already: keys of providers with what names them (`key_fields`),
passwords, and what proves receipts. All other settings are those of the start. What cannot be used is not taken: the
adapter goes on with the secrets that it has, and a log line says why. No value of a secret is ever in a log line.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, SecretStr, ValidationError

from schemas.adapter_registry import ADAPTER_REGISTRY
from services.kit.observability.logs import log
from services.kit.observability.metrics import Registry, counter
from services.kit.runtime.settings import (
    FileStamps,
    SettingsError,
    can_reload,
    reload_settings,
    stamp_setting_files,
)
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.installed_adapter import InstalledAdapter
from services.orchestrator.settings import OrchestratorSettings

LOOK_INTERVAL: Final = 3.0
"""Seconds between two looks at the files."""
BuildAdapter: TypeAlias = Callable[[str, Any], Adapter]
"""Builds an adapter by its name and its settings. Raises SettingsError."""


class AdapterSecrets:
    """The settings of all adapters, with the secrets as they are now."""

    def __init__(self, settings: OrchestratorSettings, registry: Registry) -> None:
        self._settings = settings
        self._changed: dict[str, Any] = {}
        self._stamps: FileStamps = stamp_setting_files() if can_reload(settings) else {}
        self._reloads = counter(
            registry,
            "adapter_secret_changes_total",
            "Changed secrets of adapters, by whether they were taken",
            {"adapter": settings.adapter_names, "outcome": ("taken", "refused")},
        )

    def settings_of(self, adapter: str) -> Any:
        """The settings of an adapter, an instance of the model that its kind declares. Raises SettingsError."""
        changed = self._changed.get(adapter)
        return self._settings.settings_of(adapter) if changed is None else changed

    async def look(
        self,
        installed: Mapping[str, Adapter],
        build: BuildAdapter,
        on_taken: Callable[[str], None] = lambda adapter: None,
    ) -> None:
        """Take secrets that have changed since the last look, and let these of the adapters hand over with them."""
        if not can_reload(self._settings):
            return
        stamps = await asyncio.to_thread(stamp_setting_files)
        if stamps == self._stamps:
            return
        self._stamps = stamps  # of before the reading: what is written meanwhile is seen at the next look
        try:
            fresh = await asyncio.to_thread(reload_settings, self._settings)
        except SettingsError as error:
            log("secrets_not_read", level="error", problem=str(error))
            return
        for name in self._settings.adapter_names:
            if fresh.kind_of(name) != self._settings.kind_of(name):
                continue  # which adapters there are is read at the start
            await self._take(name, fresh, installed.get(name), build, on_taken)

    async def _take(
        self,
        name: str,
        fresh: OrchestratorSettings,
        installed: Adapter | None,
        build: BuildAdapter,
        on_taken: Callable[[str], None],
    ) -> None:
        old = self.settings_of(name)
        try:
            kind = self._settings.kind_of(name)
            beside = ADAPTER_REGISTRY.declarations[kind].key_fields if kind is not None else ()
            secrets = _changed_secrets(old, fresh.settings_of(name), beside)
            if not secrets:
                return
            names = [self._name_of(name, field) for field in secrets]
            merged = _with_secrets(old, secrets, names)
            if isinstance(installed, InstalledAdapter):
                await installed.replace(build(name, merged))
        except Exception as error:  # whatever is wrong with a file, the adapter goes on as it is
            problem = str(error) if isinstance(error, SettingsError) else type(error).__name__
            self._count(name, "refused")
            log("adapter_secret_not_taken", level="error", adapter=name, problem=problem)
            return
        self._changed[name] = merged
        self._count(name, "taken")
        log("adapter_secret_changed", adapter=name, settings=names)
        on_taken(name)

    def _name_of(self, adapter: str, field: str) -> str:
        """Where a setting of an adapter is said."""
        if adapter in type(self._settings).model_fields:
            return f"TACTFUL_{adapter}__{field}".upper()
        return f"TACTFUL_ACCOUNTS: {adapter}/{field}"

    def _count(self, adapter: str, outcome: Literal["taken", "refused"]) -> None:
        self._reloads(adapter, outcome).inc()


def _changed_secrets(old: BaseModel, fresh: BaseModel, beside: Collection[str]) -> dict[str, object]:
    """The fields of these settings that hold a secret, before or now, and say something else now; those `beside` are
    no secrets, and belong to them.
    """
    pairs = {field: (getattr(old, field), getattr(fresh, field)) for field in type(old).model_fields}
    return {
        field: now
        for field, (before, now) in pairs.items()
        if before != now and (field in beside or isinstance(before, SecretStr) or isinstance(now, SecretStr))
    }


def _with_secrets(old: BaseModel, secrets: Mapping[str, object], names: list[str]) -> BaseModel:
    """The settings with other secrets. Raises SettingsError if these do not fit the rest, or one is an empty file."""
    for name, secret in zip(names, secrets.values(), strict=True):
        if isinstance(secret, SecretStr) and not secret.get_secret_value().strip():
            raise SettingsError(f"{name} is empty")
    values = {field: getattr(old, field) for field in type(old).model_fields}
    try:
        return type(old).model_validate({**values, **secrets})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"{' and '.join(names)}: {first['msg']}") from None

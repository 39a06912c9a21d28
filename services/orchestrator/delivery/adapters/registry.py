"""Builds the adapters that the settings name, and the routes that adapters bring along."""

from collections.abc import Mapping

from fastapi import APIRouter

from schemas.adapter_registry import ADAPTER_REGISTRY, OFF, adapter_choices
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from services.orchestrator.settings import OrchestratorSettings


def build_adapters(settings: OrchestratorSettings, database: Database, clock: Clock) -> Mapping[str, Adapter]:
    """The adapter of each channel that can send. Raises SettingsError for an unknown or unfinished one."""
    adapters: dict[str, Adapter] = {}
    by_channel: dict[str, Adapter] = {}
    for channel, id in settings.adapters.items():
        if id == OFF:
            continue
        if id not in ADAPTER_REGISTRY.declarations:
            raise SettingsError(f"{_setting_of(channel)}: there is no adapter `{id}`: use {adapter_choices()}")
        if not ADAPTER_REGISTRY.declarations[id].serves(channel):
            raise SettingsError(f"{_setting_of(channel)}: the adapter `{id}` does not serve this channel")
        if id not in adapters:
            adapters[id] = _create_adapter(id, settings, database, clock)
        by_channel[channel] = adapters[id]
    return by_channel


def keep_all_messages(adapters: Mapping[str, Adapter]) -> bool:
    """Whether every message is kept in this installation for people to look at, and none is sent."""
    return all(ADAPTER_REGISTRY.declarations[each.name].destination == "inbox" for each in adapters.values())


def create_adapter_routes(database: Database) -> list[APIRouter]:
    """The routes of all adapters that have some, whether a channel uses them or not."""
    ids = [id for id, declaration in ADAPTER_REGISTRY.declarations.items() if declaration.has_api]
    return [ADAPTER_REGISTRY.load_module(id, "api").create_routes(database) for id in ids]


def _setting_of(channel: str) -> str:
    return f"TACTFUL_ADAPTERS__{channel.upper()}"


def _create_adapter(id: str, settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapter:
    if ADAPTER_REGISTRY.declarations[id].sends_mail and not settings.mail.has_sender:
        raise SettingsError("TACTFUL_MAIL__FROM_ADDRESS is not set, and mails need a sender")
    outbound = OutboundGuard(parse_networks(settings.outbound.networks))
    context = AdapterContext(getattr(settings, id), settings.dispatch.timeout, database, clock, outbound, settings.mail)
    adapter: Adapter = ADAPTER_REGISTRY.load_module(id, "adapter").create_adapter(context)
    return adapter

"""Builds the adapters that the settings name, and the routes that adapters bring along."""

from collections.abc import Mapping

from fastapi import APIRouter

from schemas.adapter_registry import ADAPTER_REGISTRY, OFF, adapter_choices
from schemas.channel_registry import CHANNEL_REGISTRY
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.adapter_settings import RouteSettings, parse_rates
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.settings import OrchestratorSettings


def build_adapters(settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapters:
    """The adapters that the settings name. Raises SettingsError for an unknown or unfinished one."""
    by_name: dict[str, Adapter] = {}
    routes: dict[str, tuple[RouteSettings, ...]] = {}
    for channel in settings.adapters:
        for route in settings.routes_of(channel):
            kind = settings.kind_of(route.adapter)
            if kind is None:
                names = adapter_choices() if settings.accounts is None else ", ".join((*settings.adapter_names, OFF))
                raise SettingsError(f"{_setting_of(channel)}: there is no adapter `{route.adapter}`: use {names}")
            if not ADAPTER_REGISTRY.declarations[kind].serves(channel):
                raise SettingsError(
                    f"{_setting_of(channel)}: the adapter `{route.adapter}` does not serve this channel"
                )
            if route.adapter not in by_name:
                by_name[route.adapter] = _create_adapter(route.adapter, kind, settings, database, clock)
        if used := settings.routes_of(channel):
            routes[channel] = tuple(_with_addresses(route, channel, settings.kind_of(route.adapter)) for route in used)
    kinds = {name: settings.kind_of(name) or name for name in settings.adapter_names}
    remembered = {name: ADAPTER_REGISTRY.declarations[kinds[name]].remembers_for for name in by_name}
    memories = {name: seconds for name, seconds in remembered.items() if seconds is not None}
    return Adapters(by_name, routes, _known_rates(settings), memories, kinds)


def _with_addresses(route: RouteSettings, channel: str, kind: str | None) -> RouteSettings:
    """The route of an adapter that addresses name gets the messages to these addresses alone. It does not stand by for
    others, wherever it is in the list, as no other reaches them.
    """
    if kind is None or not ADAPTER_REGISTRY.declarations[kind].is_addressed:
        return route
    if not CHANNEL_REGISTRY.declarations[channel].needs_address:
        return route
    addresses = route.addresses or frozenset({f"{route.adapter}:"})
    return route.model_copy(update={"addresses": addresses, "weight": max(route.weight, 1)})


def _known_rates(settings: OrchestratorSettings) -> Mapping[str, float]:
    rates = parse_rates(settings.dispatch.rates)
    for name in rates:
        if name not in settings.adapter_names:
            raise SettingsError(f"TACTFUL_DISPATCH__RATES: there is no adapter `{name}`")
    return rates


def keep_all_messages(settings: OrchestratorSettings) -> bool:
    """Whether every message is kept in this installation for people to look at, and none is sent."""
    return not any(settings.leaves_installation(channel) for channel in settings.adapters)


def create_adapter_routes(database: Database) -> list[APIRouter]:
    """The routes of all adapters that have some, whether a channel uses them or not."""
    ids = [id for id, declaration in ADAPTER_REGISTRY.declarations.items() if declaration.has_api]
    return [ADAPTER_REGISTRY.load_module(id, "api").create_routes(database) for id in ids]


def _setting_of(channel: str) -> str:
    return f"TACTFUL_ADAPTERS__{channel.upper()}"


def _create_adapter(name: str, kind: str, settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapter:
    if ADAPTER_REGISTRY.declarations[kind].sends_mail and not settings.mail.has_sender:
        raise SettingsError("TACTFUL_MAIL__FROM_ADDRESS is not set, and mails need a sender")
    outbound = OutboundGuard(parse_networks(settings.outbound.networks))
    own = settings.settings_of(name)
    served = frozenset(
        channel for channel in settings.adapters if any(route.adapter == name for route in settings.routes_of(channel))
    )
    context = AdapterContext(own, settings.dispatch.timeout, database, clock, outbound, settings.mail, name, served)
    try:
        adapter: Adapter = ADAPTER_REGISTRY.load_module(kind, "adapter").create_adapter(context)
    except SettingsError as error:
        if name == kind:
            raise
        raise SettingsError(f"TACTFUL_ACCOUNTS: {name}: {error}") from None
    return adapter

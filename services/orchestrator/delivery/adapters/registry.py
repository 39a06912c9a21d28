"""Builds the adapters that the settings name, and the routes that adapters bring along."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter

from schemas.adapter_registry import ADAPTER_REGISTRY, OFF, adapter_choices
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.receipt import Statement
from services.kit.bus.kafka_connection import connect_by
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.adapter_settings import RouteSettings, parse_rates
from services.orchestrator.delivery.adapters.definition import (
    Adapter,
    AdapterApiContext,
    AdapterContext,
    RetentionContext,
)
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.adapters.installed_adapter import InstalledAdapter
from services.orchestrator.settings import OrchestratorSettings


def build_adapters(settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapters:
    """The adapters that the settings name. Raises SettingsError for an unknown or unfinished one."""
    by_name: dict[str, InstalledAdapter] = {}
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
                own = settings.settings_of(route.adapter)
                made = create_adapter(route.adapter, own, settings, database, clock)
                by_name[route.adapter] = InstalledAdapter(made, settings.trial_of(route.adapter))
        if used := settings.routes_of(channel):
            routes[channel] = tuple(_with_addresses(route, channel, settings.kind_of(route.adapter)) for route in used)
    kinds = {name: settings.kind_of(name) or name for name in by_name}
    remembered = {name: ADAPTER_REGISTRY.declarations[kind].remembers_for for name, kind in kinds.items()}
    memories = {name: seconds for name, seconds in remembered.items() if seconds is not None}
    silent = frozenset(name for name in settings.adapter_names if not settings.gives_receipts(name))
    trials = {name: trial for name in by_name if (trial := settings.trial_of(name)) is not None}
    found = {name: ADAPTER_REGISTRY.declarations[kinds[name]].search(settings.settings_of(name)) for name in by_name}
    searches = {name: search for name, search in found.items() if search is not None}
    return Adapters(by_name, routes, _known_rates(settings), memories, silent, kinds, trials, searches)


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


def create_adapter_routes(
    settings_of: Callable[[str], Any],
    database: Database,
    clock: Clock,
    take_statements: Callable[[str, Sequence[Statement]], Awaitable[object]],
    is_stopping: Callable[[], bool],
) -> list[APIRouter]:
    """The routes of all adapters that have some, whether a channel uses them or not."""
    routers = []
    for id, declaration in ADAPTER_REGISTRY.declarations.items():
        if declaration.has_api:
            take = partial(take_statements, id)
            context = AdapterApiContext(partial(settings_of, id), database, clock, take, is_stopping)
            routers.append(ADAPTER_REGISTRY.load_module(id, "api").create_routes(context))
    return routers


def list_retentions(
    settings: OrchestratorSettings, database: Database, clock: Clock
) -> dict[str, Callable[[], Awaitable[object]]]:
    """What deletes what adapters have kept for long enough, by the adapter's name."""
    return {
        id: partial(
            ADAPTER_REGISTRY.load_module(id, "retention").expire_kept,
            RetentionContext(settings.settings_of(id), database, clock),
        )
        for id, declaration in ADAPTER_REGISTRY.declarations.items()
        if declaration.has_retention
    }


def _setting_of(channel: str) -> str:
    return f"TACTFUL_ADAPTERS__{channel.upper()}"


def create_adapter(name: str, own: Any, settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapter:
    """The adapter of this name, whose kind is known, with its own settings. Raises SettingsError."""
    kind = settings.kind_of(name)
    assert kind is not None, name
    if ADAPTER_REGISTRY.declarations[kind].sends_mail and not settings.mail.has_sender:
        raise SettingsError("TACTFUL_MAIL__FROM_ADDRESS is not set, and mails need a sender")
    served = frozenset(
        channel for channel in settings.adapters if any(route.adapter == name for route in settings.routes_of(channel))
    )
    context = AdapterContext(
        settings=own,
        timeout=settings.dispatch.timeout,
        database=database,
        clock=clock,
        outbound=OutboundGuard(parse_networks(settings.outbound.networks)),
        mail=settings.mail,
        slack=settings.dispatch.slack,
        connect_kafka=partial(connect_by, settings) if settings.kafka.bootstrap is not None else None,
        own_topics=settings.kafka.own_topics,
        name=name,
        channels=served,
    )
    try:
        adapter: Adapter = ADAPTER_REGISTRY.load_module(kind, "adapter").create_adapter(context)
    except SettingsError as error:
        if name == kind:
            raise
        raise SettingsError(f"TACTFUL_ACCOUNTS: {name}: {error}") from None
    return adapter

"""Chooses the adapter of a message among those of its channel. Pure.

The choice depends on the message's id alone while the same adapters can serve: a message that is tried again goes to
the same adapter, and the shares follow the weights.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.address_kinds import find_country
from schemas.message import Message
from services.orchestrator.adapter_settings import RouteSettings

Routes = Mapping[str, Sequence[RouteSettings]]
"""The adapters of each channel that can send."""


class AdapterChoice(NamedTuple):
    """The adapter of a message, and whether it may have it now; otherwise the message waits for it."""

    adapter: str
    is_usable: bool


class OutboxLine(NamedTuple):
    """Messages of the outbox that one adapter serves: those of its channel, or of them those assigned to it."""

    channel: str
    adapter: str
    is_assigned: bool

    @property
    def assigned(self) -> str | None:
        """What its rows have in the column `adapter`."""
        return self.adapter if self.is_assigned else None


def choose_adapter(
    routes: Sequence[RouteSettings], message: Message, is_usable: Callable[[str], bool], share: Callable[[str], float]
) -> AdapterChoice:
    """The adapter for a message. `routes`: those of its channel; one at least has no conditions.

    Adapters whose conditions the message meets come before those without conditions, and those with a weight before
    those that stand by. `is_usable` and `share` say of an adapter whether it can serve, and how much of its weight
    counts (0 to 1).
    """
    if len(routes) == 1:
        return AdapterChoice(routes[0].adapter, is_usable(routes[0].adapter))
    routes = _routes_of_address(routes, message)
    own = [route for route in routes if route.has_conditions and meets_conditions(route, message)]
    for group in (own, [route for route in routes if not route.has_conditions]):
        usable = [route for route in group if is_usable(route.adapter)]
        serving = [route for route in usable if route.weight]
        if serving:
            weights = [route.weight * share(route.adapter) for route in serving]
            return AdapterChoice(_draw(serving, weights, message.id), True)
        if usable:
            return AdapterChoice(usable[0].adapter, True)
    group = [route for route in own if route.weight] or own or [route for route in routes if not route.has_conditions]
    serving = [route for route in group if route.weight] or group
    return AdapterChoice(_draw(serving, [max(route.weight, 1) for route in serving], message.id), False)


def _routes_of_address(routes: Sequence[RouteSettings], message: Message) -> Sequence[RouteSettings]:
    """Those that reach the address of a message. Of routes for its address alone, conditions that none of them meets do
    not count: nobody else reaches it.
    """
    if not any(route.addresses for route in routes):
        return routes
    own = [route for route in routes if route.addresses and message.to.startswith(tuple(route.addresses))]
    if not own:
        return [route for route in routes if not route.addresses] or routes[:1]
    if any(not route.has_conditions or meets_conditions(route, message) for route in own):
        return own
    none: frozenset[str] = frozenset()
    return [route.model_copy(update={"classes": none, "topics": none, "countries": none}) for route in own]


def meets_conditions(route: RouteSettings, message: Message) -> bool:
    """Whether a message has one of the classes, topics and countries that an adapter is for."""
    return (
        (not route.classes or message.cls in route.classes)
        and (not route.topics or message.topic in route.topics)
        and (not route.countries or find_country(message.to) in route.countries)
    )


def _draw(routes: Sequence[RouteSettings], weights: Sequence[float], message_id: str) -> str:
    """One of the adapters by weight: the same one for the same message."""
    point = zlib.crc32(message_id.encode()) / 2**32 * sum(weights)
    for route, weight in zip(routes, weights, strict=True):
        point -= weight
        if point < 0:
            return route.adapter
    return routes[-1].adapter

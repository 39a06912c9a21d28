"""What is known of each adapter, for people: which channels it serves, whether it can, what waits, what was refused."""

from collections import Counter
from typing import Literal, NamedTuple

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.times import HOUR, Instant
from services.kit.db.database import Tx
from services.kit.observability.logs import redact
from services.orchestrator.adapter_settings import RouteSettings
from services.orchestrator.delivery.adapter_trouble import Trouble, load_troubles
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.store import has_dispatcher
from services.orchestrator.settings import OrchestratorSettings

AdapterState = Literal["serving", "no_dispatcher", "throttled", "stalled", "failing", "account"]
STATES: tuple[AdapterState, ...] = ("serving", "no_dispatcher", "throttled", "stalled", "failing", "account")
"""In order of gravity. no_dispatcher: no process lives that hands over what waits. account: the provider refuses our
key, sender or contract.
"""
FAILURES_WITHIN = HOUR
_LAST_ATTEMPTS = 500
"""Of so many attempts that were not accepted, the newest, failures are counted."""


class Failure(NamedTuple):
    """What an adapter said when it did not take messages: how often lately, and when last. Without addresses."""

    outcome: str
    detail: str
    times: int
    last: Instant


class AdapterOverview(NamedTuple):
    """One adapter. `until`: when it is tried again, if it gets nothing. `waiting`: messages of the outbox."""

    name: str
    kind: str
    destination: str
    routes: dict[str, RouteSettings]
    rate: float | None
    state: AdapterState
    until: Instant | None
    processes: int
    """How many processes give it nothing now."""
    trial_recipients: int | None
    """In trial mode, how many entries its list of recipients has."""
    waiting: int
    failures: list[Failure]


async def load_overviews(
    tx: Tx, adapters: Adapters, settings: OrchestratorSettings, now: Instant
) -> list[AdapterOverview]:
    """All adapters that serve a channel, in the order of the settings."""
    troubles, waiting = await load_troubles(tx), await count_waiting(tx, adapters)
    failures = await _load_failures(tx, now)
    usual: AdapterState = "serving" if await has_dispatcher(tx) else "no_dispatcher"
    return [
        _overview(
            name, adapters, settings, [each for each in troubles if each.adapter == name], waiting, failures, usual
        )
        for name in adapters.by_name
    ]


def _overview(
    name: str,
    adapters: Adapters,
    settings: OrchestratorSettings,
    troubles: list[Trouble],
    waiting: Counter[str],
    failures: dict[str, list[Failure]],
    usual: AdapterState,
) -> AdapterOverview:
    kind = settings.kind_of(name)
    assert kind is not None  # it was built
    worst = max((state for state in STATES for each in troubles if each.cause == state), key=STATES.index, default=None)
    return AdapterOverview(
        *(name, kind, ADAPTER_REGISTRY.declarations[kind].destination),
        {channel: route for channel, routes in adapters.routes.items() for route in routes if route.adapter == name},
        adapters.rates.get(name),
        worst or usual,
        max((each.until for each in troubles if each.cause == worst), default=None),
        len(troubles),
        None if (trial := adapters.trials.get(name)) is None else len(trial),
        *(waiting[name], failures.get(name, [])),
    )


async def count_waiting(tx: Tx, adapters: Adapters) -> Counter[str]:
    """By adapter. What nobody has assigned yet, where there are several, waits for the first."""
    waiting: Counter[str] = Counter()
    for row in await tx.rows("SELECT channel, adapter, count(*) AS messages FROM outbox GROUP BY channel, adapter"):
        routes = adapters.routes.get(row.channel, ())
        serving = [route.adapter for route in routes]
        if serving:
            waiting[row.adapter if row.adapter in serving else serving[0]] += row.messages
    return waiting


async def _load_failures(tx: Tx, now: Instant) -> dict[str, list[Failure]]:
    rows = await tx.rows(
        "SELECT h.adapter, a.outcome, a.detail, count(*) AS times, max(a.closed_at) AS last "
        f"FROM (SELECT * FROM attempt ORDER BY attempt_id DESC LIMIT {_LAST_ATTEMPTS}) a "
        "JOIN message h ON h.message_id = a.message_id "
        "WHERE a.closed_at >= :since AND a.outcome <> 'cancelled' AND h.adapter IS NOT NULL "
        "GROUP BY h.adapter, a.outcome, a.detail ORDER BY max(a.closed_at) DESC",
        since=now - FAILURES_WITHIN,
    )
    found: dict[str, list[Failure]] = {}
    for row in rows:
        found.setdefault(row.adapter, []).append(
            Failure(row.outcome, redact(row.detail or "no reason given"), row.times, row.last)
        )
    return {adapter: failures[:5] for adapter, failures in found.items()}

"""The orchestrator's side of the past: the policy, the campaigns and the contacts of an instant, from what is kept.

Versions and the two logs (of the catalogue, of contacts) are append-only, so every instant can be told. What is not
kept at all is which channels were configured.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

import schemas.campaign
import schemas.policy
from schemas.documents import validate
from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Tx
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.conditions import campaign_condition, situation_condition
from services.orchestrator.campaigns.lifecycle import Action
from services.orchestrator.campaigns.snapshot import NO_POLICY
from services.orchestrator.decisions import store
from services.orchestrator.policy.compiled_campaign import Campaign, compile_campaign
from services.orchestrator.policy.compiled_policy import Policy, compile_policy
from services.orchestrator.policy.ledger import Ledger

CHANNELS_UNKNOWN = "which channels were set up then is not kept; those that are set up now are assumed"
_LEADS_TO = {Action.ACTIVATE: Status.ACTIVE, Action.PAUSE: Status.PAUSED, Action.STOP: Status.STOPPED}


class Stood(NamedTuple):
    """Which version of a campaign ran, or ran last, from `at` on, and how; `status` None: a draft that never ran."""

    at: Instant
    version: int
    status: Status | None


async def stood(tx: Tx, key: str) -> list[Stood]:
    """How a campaign stood, oldest first: each change. Empty: it never was."""
    found: list[Stood] = []
    for change in await catalogue_store.log_of(tx, "campaign", key):
        if change.version is None:
            continue
        if change.action in _LEADS_TO and (change.before, change.after) != (Status.SHADOW, Status.STOPPED):
            found.append(Stood(change.at, change.version, _LEADS_TO[Action(change.action)]))
        elif change.action == "put" and not any(each.status for each in found):
            found.append(Stood(change.at, change.version, None))
    return found


def standing(changes: Sequence[Stood], at: Instant) -> Stood | None:
    """How it stood at an instant; None: it was not there yet."""
    return next((each for each in reversed(changes) if each.at <= at), None)


async def campaign_of(tx: Tx, key: str, version: int, active: bool) -> Campaign | None:
    """A version of a campaign, ready to judge; None when there is none. Raises DocumentError for one unreadable now."""
    found = await catalogue_store.campaign_version(tx, key, version)
    if found is None:
        return None
    return compile_campaign(validate(schemas.campaign.Campaign, found.document), version, active, campaign_condition)


async def policy_at(tx: Tx, at: Instant) -> Policy:
    """The policy that was active at an instant; that of nobody, version 0, where there was none."""
    changes = await catalogue_store.log_of(tx, "policy", catalogue_store.POLICY)
    active = [each.version for each in changes if each.action == Action.ACTIVATE and each.at <= at]
    return await policy_of(tx, active[-1] or 0) if active else compile_policy(NO_POLICY, 0)


async def policy_of(tx: Tx, version: int) -> Policy:
    """A version of the policy, ready to judge. Raises LookupError, DocumentError for one that is unreadable now."""
    if version == 0:
        return compile_policy(NO_POLICY, 0)
    found = await catalogue_store.policy_version(tx, version)
    if found is None:
        raise LookupError(f"version {version} of the policy")
    return compile_policy(validate(schemas.policy.Policy, found.document), version, situation_condition)


async def ledger_at(tx: Tx, customer: str, at: Instant) -> Ledger:
    """The customer's contacts as they were recorded by an instant, all of them."""
    return folded(await store.contact_rows(tx, customer, at))


def folded(rows: Sequence[Row[Any]]) -> Ledger:
    """The ledger that rows of the history lead to."""
    ledger = Ledger.empty()
    for row in rows:
        ledger = store.learned(ledger, row)
    return ledger


async def trigger_at(tx: Tx, customer: str, campaign: str, at: Instant) -> bytes | None:
    """The structured JSON of the customer's last event, as of an instant, that triggered the campaign."""
    row = await tx.row(
        "SELECT i.event FROM decision d JOIN inbox i"
        " ON i.customer = d.customer AND i.source = d.event_source AND i.event_id = d.event_id"
        " WHERE d.customer = :customer AND d.campaign = :campaign AND d.time <= :at"
        " ORDER BY d.decision_id DESC LIMIT 1",
        customer=customer,
        campaign=campaign,
        at=at,
    )
    return None if row is None else bytes(row.event)


def unknown_addresses(count: int) -> list[str]:
    """What is said when entries of addresses can not be told any more."""
    if not count:
        return []
    if count == 1:
        return ["1 do-not-contact entry of an address stood then and was removed since; which address is not kept"]
    entries = f"{count} do-not-contact entries of addresses"
    return [f"{entries} stood then and were removed since; which addresses is not kept"]

"""Reads the policy, the campaigns and the ledgers as they were at an instant of the past.

Versions, the change log of the catalogue and the history of contacts are append-only, so every instant can be restored.
Only the channels that were configured are not recorded.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

import schemas.campaign
import schemas.policy
from schemas.documents import validate_document
from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Tx
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.conditions import compile_campaign_condition, compile_situation_condition
from services.orchestrator.campaigns.lifecycle import LifecycleAction
from services.orchestrator.campaigns.snapshot import NO_POLICY
from services.orchestrator.campaigns.trait_use import traits_of_campaign
from services.orchestrator.decisions import store
from services.orchestrator.policy.compiled_campaign import CompiledCampaign, compile_campaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.ledger import Ledger

CHANNELS_UNKNOWN_NOTE = "which channels were set up then is not kept; those that are set up now are assumed"
_STATUS_AFTER_ACTION = {
    LifecycleAction.ACTIVATE: Status.ACTIVE,
    LifecycleAction.PAUSE: Status.PAUSED,
    LifecycleAction.STOP: Status.STOPPED,
}


class CampaignStatusChange(NamedTuple):
    """From `at` on, this version of a campaign ran or had run last, with this status; None: a draft that never ran."""

    at: Instant
    version: int
    status: Status | None


async def list_status_changes(tx: Tx, key: str) -> list[CampaignStatusChange]:
    """The changes of a campaign's status, oldest first; empty where there never was such a campaign."""
    found: list[CampaignStatusChange] = []
    for change in await catalogue_store.list_log_entries(tx, "campaign", key):
        if change.version is None:
            continue
        if change.action in _STATUS_AFTER_ACTION and (change.before, change.after) != (Status.SHADOW, Status.STOPPED):
            found.append(
                CampaignStatusChange(change.at, change.version, _STATUS_AFTER_ACTION[LifecycleAction(change.action)])
            )
        elif change.action == "put" and not any(each.status for each in found):
            found.append(CampaignStatusChange(change.at, change.version, None))
    return found


def status_at(changes: Sequence[CampaignStatusChange], at: Instant) -> CampaignStatusChange | None:
    """The status at an instant; None before the campaign existed."""
    return next((each for each in reversed(changes) if each.at <= at), None)


async def load_campaign(
    tx: Tx, key: str, version: int, active: bool, status: str | None = None
) -> CompiledCampaign | None:
    """A version of a campaign, compiled; None where there is none. Raises DocumentError if it is invalid today."""
    found = await catalogue_store.get_campaign_version(tx, key, version)
    if found is None:
        return None
    document = schemas.campaign.read_stored_campaign(found.document)
    traits = traits_of_campaign(document)
    return compile_campaign(document, version, active, compile_campaign_condition, status, traits=traits)


async def policy_at(tx: Tx, at: Instant) -> CompiledPolicy:
    """The policy that was active at an instant; the empty policy, version 0, where none was."""
    changes = await catalogue_store.list_log_entries(tx, "policy", catalogue_store.POLICY_KEY)
    active = [each.version for each in changes if each.action == LifecycleAction.ACTIVATE and each.at <= at]
    return await load_policy(tx, active[-1] or 0) if active else compile_policy(NO_POLICY, 0)


async def load_policy(tx: Tx, version: int) -> CompiledPolicy:
    """A version of the policy, compiled. Raises LookupError, and DocumentError for one that is invalid today."""
    if version == 0:
        return compile_policy(NO_POLICY, 0)
    found = await catalogue_store.get_policy_version(tx, version)
    if found is None:
        raise LookupError(f"version {version} of the policy")
    return compile_policy(
        validate_document(schemas.policy.Policy, found.document), version, compile_situation_condition
    )


async def ledger_at(tx: Tx, customer: str, at: Instant) -> Ledger:
    """The customer's whole ledger, as it was recorded at an instant."""
    return build_ledger(await store.load_contact_history(tx, customer, at))


def build_ledger(rows: Sequence[Row[Any]]) -> Ledger:
    """The ledger that rows of the history add up to."""
    ledger = Ledger.empty()
    for row in rows:
        ledger = store.apply_history_row(ledger, row)
    return ledger


def unknown_address_notes(count: int) -> list[str]:
    """Notes about do-not-contact entries whose addresses are not known any more."""
    if not count:
        return []
    if count == 1:
        return [
            "1 do-not-contact entry of an address was in force then and has been removed since; its address is not kept"
        ]
    entries = f"{count} do-not-contact entries of addresses"
    return [f"{entries} were in force then and have been removed since; their addresses are not kept"]

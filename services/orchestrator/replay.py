"""Judge a decision again from what was kept of its time, and say whether it comes out the same.

The versions of the policy, the campaign and the preferences stand in the decision. Contacts, situations, entries and
holds come from their append-only histories. A decision carries the instant at which its batch began; its facts were
read a moment later (or, when the gate stopped a message, a moment before), so a replay tries the facts as they stood
around that instant, the nearest first, and names the instant of those that agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from sqlalchemy import Row

from schemas.decision import Decision
from schemas.documents import DocumentError
from schemas.event import Event, data_of, decode_structured
from schemas.facts import Preference
from schemas.times import SECOND, Instant
from schemas.vocabulary import Outcome, Reason
from services.kit.db import Database, Tx
from services.kit.errors import NotFound
from services.orchestrator import past, store
from services.orchestrator.api import store as asked
from services.orchestrator.api.store import Kept
from services.orchestrator.deciding.campaign import Campaign
from services.orchestrator.deciding.candidate import AHEAD
from services.orchestrator.deciding.decide import decide
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.ledger import Ledger
from services.orchestrator.deciding.match import Catalogue, Touch, touches
from services.orchestrator.deciding.policy import Policy
from services.orchestrator.gather import Gatherer
from services.orchestrator.judgings import Judging, judging_of
from services.suppression.client import Past

AROUND = 10 * SECOND
"""How far from a decision's time its facts may have been read: the fence waits for at most 2 s in each service."""
MOST_TRIES = 4096
COMPARED = ("outcome", "reason", "rule_id", "until", "lost_to")
UNJUDGED = frozenset({Reason.PROVIDER_REJECTED, Reason.PROVIDER_EXHAUSTED})
"""Reasons that tell what a provider answered: no rule gave them."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. `same` None: it cannot be told, and `unknown` says why.

    `decision` is as judged again, `facts_at` the instant of the facts that it was judged on.
    """

    same: bool | None
    decision: Decision | None = None
    facts_at: Instant | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept_:
    """What was kept of a judging's time, before it is tried."""

    event: Event
    policy: Policy
    campaigns: Mapping[str, tuple[Campaign, ...]]
    rows: Sequence[Row[Any]]

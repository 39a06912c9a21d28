"""The internal HTTP API behind the console page for agents: what the orchestrator asks the other two services to do for
one customer, by the hand of a person. The form is that of schemas/service_api.py.

A request that the service refuses for what it says is answered with the reason in `problem`: people read it.
"""

from typing import Any

import msgspec

from schemas.times import Instant

CHANGE_SITUATION_PATH = "/internal/suppression/situations/change"
READ_SITUATIONS_PATH = "/internal/suppression/situations/read"
CHANGE_PREFERENCES_PATH = "/internal/preference/customers/change"


class ChangeSituationRequest(msgspec.Struct, frozen=True):
    """Asks to open, close or correct a situation. `document`: as the body of `POST /v1/situations/{customer}`."""

    customer: str
    document: dict[str, Any]
    by: str


class ReplacedAddress(msgspec.Struct, frozen=True):
    """A corrected address: which of the customer's addresses, counted from 0, and what it is."""

    index: int
    address: str


class ChangePreferencesRequest(msgspec.Struct, frozen=True):
    """Asks to set fields of a customer's document, to add an opt-out, or to correct an address. `by`: who asks.

    `expected`: the version that the preferences must have; None: any.
    """

    customer: str
    by: str
    fields: dict[str, Any] = {}
    opt_out: dict[str, Any] | None = None
    replaced: ReplacedAddress | None = None
    expected: int | None = None


class ChangeAnswer(msgspec.Struct, frozen=True):
    """What became of a change. `in_force` False: it is kept, and may not be obeyed everywhere yet."""

    in_force: bool
    problem: str | None = None


class SituationsQuestion(msgspec.Struct, frozen=True):
    """Asks for the situations of a customer."""

    customer: str


class SituationLine(msgspec.Struct, frozen=True):
    """A situation as it is now. `ref`: canonical JSON. `lapses`: when it ends by itself if nobody closes it."""

    kind: str
    ref: str
    opened: Instant
    closed: Instant | None
    lapses: Instant | None
    is_open: bool


class SituationHistoryLine(msgspec.Struct, frozen=True):
    """One change of a situation. `by`: the person who made it by hand; None for events."""

    action: str
    kind: str
    ref: str
    at: Instant
    recorded: Instant
    by: str | None
    source: str
    reason: str | None
    opened: Instant | None
    closed: Instant | None


class ListedSituations(msgspec.Struct, frozen=True):
    """A customer's situations, and their newest changes, newest first. `kinds`: those that the policy knows."""

    situations: tuple[SituationLine, ...]
    history: tuple[SituationHistoryLine, ...]
    kinds: tuple[str, ...]

"""The internal HTTP API about the do-not-contact list: what the console asks suppression, and this the orchestrator.

The form is that of schemas/service_api.py.
"""

import msgspec

from schemas.times import Instant

# --- Suppression

FIND_ENTRIES_PATH = "/internal/suppression/entries/find"
IMPORTS_PATH = "/internal/suppression/imports"
REMOVALS_PATH = "/internal/suppression/removals"
ASK_REMOVAL_PATH = "/internal/suppression/removals/ask"
DECIDE_REMOVAL_PATH = "/internal/suppression/removals/decide"

# --- Orchestrator

TWO_PEOPLE_PATH = "/internal/orchestrator/keys/two-people"
CONSENT_PATH = "/internal/orchestrator/consents/since"


class EntryQuestion(msgspec.Struct, frozen=True):
    """Asks for the live entries of an address in any spelling; without a channel, on all of them."""

    address: str
    channel: str | None = None


class ListedEntry(msgspec.Struct, frozen=True):
    """A live entry as people see it: an address is masked. `whom`: the customer, or the mask."""

    id: str
    whom: str
    channel: str | None
    topic: str | None
    classes: tuple[str, ...] | None
    reason: str
    source: str | None
    note: str | None
    at: Instant
    expires: Instant | None
    added_by: str
    automatic: bool


class ListedImport(msgspec.Struct, frozen=True):
    """An import and how far it is."""

    id: str
    state: str
    dry_run: bool
    rows: int
    read: int
    added: int
    exists: int
    refused: int
    requested_by: str
    created: Instant
    finished: Instant | None
    problem: str | None


class ListedRemoval(msgspec.Struct, frozen=True):
    """A request to remove an entry that nobody has decided."""

    id: str
    whom: str
    entry_reason: str
    reason: str | None
    requested_by: str
    requested_at: Instant
    notice: str | None


class AskRemovalRequest(msgspec.Struct, frozen=True):
    """Asks for the removal of an entry, in the name of a person."""

    entry: str
    reason: str | None
    consent_of: str | None
    by: str


class DecideRemovalRequest(msgspec.Struct, frozen=True):
    """Decides a removal request, in the name of a person."""

    removal: str
    approve: bool
    by: str


class RemovalAnswer(msgspec.Struct, frozen=True):
    """What became of it. `problem`: why it was refused, for people."""

    state: str | None
    problem: str | None = None


class KeyNames(msgspec.Struct, frozen=True):
    """Asks whether two names of keys are of two people."""

    first: str
    second: str


class NewConsentQuestion(msgspec.Struct, frozen=True):
    """Asks whether a customer has consented to marketing later than `since`.

    `hashes`: of the address that the consent is for; empty where it is for the customer. `channel` and `topic`: None
    where all are meant: no consent is for all channels, but one for any topic is one.
    """

    customer: str
    hashes: tuple[str, ...]
    channel: str | None
    topic: str | None
    since: Instant


class YesOrNo(msgspec.Struct, frozen=True):
    """The answer to a question that has only two."""

    yes: bool

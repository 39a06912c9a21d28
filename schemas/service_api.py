"""The internal HTTP API between the services: its paths, requests and responses.

`services/clients/` makes these calls; the service that owns a path answers it. Bodies are MessagePack
(`services/kit/http/internal_api.py`); a struct with `array_like=True` is encoded as an array, so its fields keep their
order and new ones go to the end. Instants are microseconds since 1970 UTC.
"""

from typing import Any, Final

import msgspec

from schemas.facts import HoldFact, Preference, Suppressions
from schemas.recorded import HoldPeriod, SuppressionsAsOf, SuppressionsSnapshot
from schemas.times import Instant

LogPositions = dict[str, dict[int, int]]
"""Topic -> partition -> next offset: how far into the log the caller has read."""

# --- What has changed, in preference and suppression


class ChangesRequest(msgspec.Struct, frozen=True):
    """Asks what has changed since facts were read, once the log is applied up to `positions`.

    `since`: the position that came with the facts. Cheap however many customers the caller has facts of.
    """

    positions: LogPositions
    since: tuple[int, int]


class ChangesResponse(msgspec.Struct, frozen=True):
    """The `change_key` of every customer, and of every hash of an address, whose facts may have changed, put together.

    None: anything may have changed, so ask for the facts. See services/kit/db/recent_changes.py.
    """

    keys: bytes | None


# --- Preference service

PREFERENCE_FACTS_PATH = "/internal/preference/facts"
PREFERENCE_CHANGES_PATH = "/internal/preference/changes"
PREFERENCE_FACTS_AT_PATH = "/internal/preference/facts-at"
PREFERENCE_RECORDED_PATH = "/internal/preference/recorded"
TOPICS_PATH = "/internal/preference/topics"
FIND_CUSTOMERS_PATH = "/internal/preference/customers/find"
PREFERENCE_EXPORT_PATH = "/internal/preference/export"
PREFERENCE_ERASURES_PATH = "/internal/preference/erasures"


class PreferenceRequest(msgspec.Struct, frozen=True):
    """Asks for the facts of these customers, once the service has applied the log up to `positions`.

    `versions`: per customer, the version that the caller has already; a customer who still has it is left out of the
    response. Empty: the caller has none. `with_position`: answer with a PreferenceResponse; without it, and by a
    service of an earlier version, the answer is a list of preferences.
    """

    customers: tuple[str, ...]
    positions: LogPositions = {}
    versions: tuple[int, ...] = ()
    with_position: bool = False


class PreferenceResponse(msgspec.Struct, frozen=True):
    """The facts, without those that the caller has. `position`: since when to ask for changes; None: do not."""

    customers: tuple[Preference, ...]
    position: tuple[int, int] | None = None


class PastPreferenceRequest(msgspec.Struct, frozen=True):
    """Asks for what was known of a customer `at` an instant, or at a `version`; exactly one of them is given."""

    customer: str
    at: Instant | None = None
    version: int | None = None


class PreferenceHistoryRequest(msgspec.Struct, frozen=True):
    """Asks for the facts of each customer as of `since`, and after each change until `until`."""

    customers: tuple[str, ...]
    since: Instant
    until: Instant


class CustomerSearch(msgspec.Struct, frozen=True):
    """Asks for the customers with a name that begins so, or with this address; at most `limit` of each."""

    text: str
    limit: int = 20


class FoundCustomers(msgspec.Struct, frozen=True):
    """Customers by name and by address. `is_complete`: False while keys of stored customers are still being made."""

    by_name: tuple[str, ...] = ()
    by_address: tuple[str, ...] = ()
    is_complete: bool = True


# --- Erasures, in each service


class ErasuresRequest(msgspec.Struct, frozen=True):
    """Asks how far the erasures of these customers (pseudonyms) are, once the log is applied up to `positions`."""

    pseudonyms: tuple[str, ...]
    positions: LogPositions = {}


class ProviderEntry(msgspec.Struct, frozen=True):
    """Why an address must not be written to again, as a provider has said; the customer stands for an address that no
    entry can name. `classes`: None for all. `at` and `expires` are in microseconds since 1970, UTC; an entry without
    `expires` stays.
    """

    customer: str
    address: str | None
    channel: str
    classes: tuple[str, ...] | None
    reason: str
    source: str
    at: Instant
    expires: Instant | None = None


class AddEntriesRequest(msgspec.Struct, frozen=True):
    """Do-not-contact entries to add. `added_by` is shown to people."""

    entries: tuple[ProviderEntry, ...]
    added_by: str


class AddressLift(msgspec.Struct, frozen=True):
    """An address whose customer wants messages on a channel again, as said at an instant."""

    address: str
    channel: str
    at: Instant


RECEIPTS_OF: Final = "receipts of "
"""Beginning of the name of who has added an entry, where that was a receipt; the adapter's name follows."""


class LiftEntriesRequest(msgspec.Struct, frozen=True):
    """Do-not-contact entries of addresses to remove: those with this reason that `added_by` has made until then, and no
    others; of `soft_bounces`, which are counted over all adapters, those that the receipts of any adapter have made.
    `only_then`: those that count from that very instant on, and no earlier ones.
    """

    lifts: tuple[AddressLift, ...]
    reason: str
    added_by: str
    only_then: bool = False


class BlockAddressesRequest(msgspec.Struct, frozen=True):
    """Lets the `erased` entry of a customer, given by pseudonym, cover addresses, given by their keyed hashes."""

    pseudonym: str
    hashes: tuple[str, ...]
    positions: LogPositions = {}


# --- Suppression service

SUPPRESSION_FACTS_PATH = "/internal/suppression/facts"
SUPPRESSION_CHANGES_PATH = "/internal/suppression/changes"
SUPPRESSION_FACTS_AT_PATH = "/internal/suppression/facts-at"
SUPPRESSION_RECORDED_PATH = "/internal/suppression/recorded"
HOLDS_PATH = "/internal/suppression/holds"
HOLD_ENDS_PATH = "/internal/suppression/holds/ends"
HOLD_RECORDS_PATH = "/internal/suppression/holds/records"
LIFT_HOLD_PATH = "/internal/suppression/holds/lift"
SITUATIONS_PATH = "/internal/suppression/situations"
SUPPRESSION_EXPORT_PATH = "/internal/suppression/export"
SUPPRESSION_ERASURES_PATH = "/internal/suppression/erasures"
BLOCK_ADDRESSES_PATH = "/internal/suppression/erasures/addresses"
ADD_ENTRIES_PATH = "/internal/suppression/entries"
LIFT_ENTRIES_PATH = "/internal/suppression/entries/lift"

DEFAULT_RELEASE_RATE = 50
"""Messages per second at which messages that a hold kept back are released, unless the lift names a rate."""
MAX_RELEASE_RATE = 1000


class CustomerAddressHashes(msgspec.Struct, frozen=True, array_like=True):
    """One customer, and their addresses as (channel, keyed hash of the canonical form).

    `spellings`: further hashes as (index of the address, hash): earlier versions hashed suppressed addresses as they
    were spelt, so these cover the address too.
    """

    customer: str
    addresses: tuple[tuple[str, str], ...] = ()
    spellings: tuple[tuple[int, str], ...] = ()

    @property
    def hashes(self) -> tuple[tuple[int, str], ...]:
        """All hashes, each with the index of its address."""
        return (*((index, digest) for index, (_, digest) in enumerate(self.addresses)), *self.spellings)


class SuppressionRequest(msgspec.Struct, frozen=True):
    """Asks for the facts of these customers and addresses, once the log is applied up to `positions`.

    `address_key`: fingerprint of the key that hashed the addresses. `versions`: per customer, the version that the
    caller has already; a customer who still has it, and for none of whose addresses there is an entry, is left out of
    the response. Entries of addresses have no version, so a caller who has one sends -1.
    """

    customers: tuple[CustomerAddressHashes, ...]
    positions: LogPositions = {}
    address_key: str = ""
    versions: tuple[int, ...] = ()


class SuppressionResponse(msgspec.Struct, frozen=True):
    """Facts per customer in the order asked, without those the caller has; and all holds, in force or to come.

    `needs_spellings`: there are entries that may be hashed as they were spelt, so requests must have `spellings`.
    `position`: since when to ask for changes; None, also from a service of an earlier version: do not.
    """

    customers: tuple[Suppressions, ...]
    holds: tuple[HoldFact, ...] = ()
    version: int = 0
    needs_spellings: bool = True
    position: tuple[int, int] | None = None


class PastSuppressionsRequest(msgspec.Struct, frozen=True):
    """Asks for what was known of a customer and their addresses between two instants of the past."""

    customer: CustomerAddressHashes
    since: Instant
    until: Instant
    address_key: str = ""


class PastSuppressions(msgspec.Struct, frozen=True):
    """The facts as of `since`, and after each change until `until`.

    `unknown`: number of address entries that were live then and have been removed since. Removal deletes the hash, so
    nobody can tell whether they concerned this customer.
    """

    facts: tuple[SuppressionsAsOf, ...]
    unknown: int = 0


class SuppressionHistoryRequest(msgspec.Struct, frozen=True):
    """As `PreferenceHistoryRequest`, for customers and addresses. `address_key`: fingerprint of the hashes' key."""

    customers: tuple[CustomerAddressHashes, ...]
    since: Instant
    until: Instant
    address_key: str = ""


class SuppressionHistory(msgspec.Struct, frozen=True):
    """The snapshots of each customer in the order asked, and every hold that was in force at some instant between.

    `unknown`: as in `PastSuppressions`.
    """

    customers: tuple[tuple[SuppressionsSnapshot, ...], ...]
    holds: tuple[HoldPeriod, ...] = ()
    unknown: int = 0


class HoldEndsRequest(msgspec.Struct, frozen=True):
    """Asks how the holds with these keys ended, as of an instant."""

    keys: tuple[str, ...]
    at: Instant


class HoldEnd(msgspec.Struct, frozen=True):
    """How a hold ended: lifted by someone, or at its `until`. `rate`: messages per second of its release."""

    key: str
    lifted: bool
    rate: int


class HoldRecordsRequest(msgspec.Struct, frozen=True):
    """Asks for the holds that were placed last, newest first; with a `key`, only for those under it."""

    key: str | None = None
    limit: int = 50


class HoldRecord(msgspec.Struct, frozen=True):
    """A hold and what became of it. `state`: scheduled, active, ended (at its `until`) or lifted."""

    fact: HoldFact
    placed_at: Instant
    state: str
    lifted_at: Instant | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None
    release_rate: int | None = None


class LiftHoldRequest(msgspec.Struct, frozen=True):
    """Lifts the hold that stands under a key, on behalf of a person. Repeatable: a lifted hold stays as it is."""

    key: str
    lifted_by: str
    reason: str | None
    rate: int


class LiftedHold(msgspec.Struct, frozen=True):
    """The hold as it is after a lift, or None when no hold was ever placed under the key."""

    hold: HoldRecord | None


class PolicySituations(msgspec.Struct, frozen=True):
    """The situations of the policy version that is about to become active, as in the policy document."""

    policy_version: int
    situations: list[dict[str, Any]]


class Acknowledgement(msgspec.Struct, frozen=True):
    """The response of a call that has nothing to return."""

    done: bool = True


# --- Orchestrator

OPEN_ATTEMPTS_PATH = "/internal/orchestrator/attempts/open"
STILL_OPEN_PATH = "/internal/orchestrator/attempts/still-open"
FIND_KEY_PATH = "/internal/orchestrator/keys/find"
HOLD_PLAN_PATH = "/internal/orchestrator/holds/plan"
UNKNOWN_NAMES_PATH = "/internal/orchestrator/names/unknown"
CONTACT_COUNTS_PATH = "/internal/orchestrator/contacts/count"


class ContactCountRequest(msgspec.Struct, frozen=True):
    """Asks how many messages a customer has got since an instant, by topic."""

    customer: str
    since: Instant


class ContactCounts(msgspec.Struct, frozen=True):
    """Messages that providers have taken, by topic; those without a topic are left out."""

    by_topic: dict[str, int]


RECORD_AUDIT_PATH = "/internal/orchestrator/audit-log"


class AttemptScope(msgspec.Struct, frozen=True):
    """The attempts that an opt-out or a hold concerns; a field that is None matches every attempt."""

    customer: str | None = None
    channels: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    intents: tuple[str, ...] | None = None
    campaigns: tuple[str, ...] | None = None
    address: str | None = None


class OpenAttempts(msgspec.Struct, frozen=True):
    """The open attempts of a scope, each as (message id, attempt number)."""

    attempts: tuple[tuple[str, int], ...]


class AttemptIds(msgspec.Struct, frozen=True):
    """Asks how many of these attempts are still open."""

    attempts: tuple[tuple[str, int], ...]


class OpenAttemptCount(msgspec.Struct, frozen=True):
    """How many of the attempts that were asked about are open."""

    count: int


class KeyDigest(msgspec.Struct, frozen=True):
    """Asks who owns an API key. `digest`: SHA-256 of the key, in hexadecimal."""

    digest: str


class KeyOwner(msgspec.Struct, frozen=True):
    """The owner of an API key."""

    name: str
    role: str
    key_id: str
    person: str | None = None


class KeyLookup(msgspec.Struct, frozen=True):
    """The owner, or None when the key is unknown or revoked."""

    owner: KeyOwner | None


class AuditNumber(msgspec.Struct, frozen=True):
    """The number of an entry that the audit log has taken."""

    seq: int


class ScopeNames(msgspec.Struct, frozen=True):
    """Asks which of these names, as a scope has them, nothing has here."""

    topics: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()


class UnknownScopeName(msgspec.Struct, frozen=True):
    """A name that no topic of the active policy or no campaign has, and the one that resembles it most."""

    field: str
    index: int
    name: str
    nearest: str | None


class UnknownScopeNames(msgspec.Struct, frozen=True):
    """The names that nothing has."""

    names: tuple[UnknownScopeName, ...]


class HoldPlanRequest(msgspec.Struct, frozen=True):
    """Asks what lifting a hold would send. `rate`: messages per second of the release."""

    key: str
    rate: int


class DecisionCount(msgspec.Struct, frozen=True):
    """How many messages would get this decision."""

    campaign: str
    channel: str
    outcome: str
    reason: str
    messages: int


class HoldPlanSample(msgspec.Struct, frozen=True):
    """One message and the decision it would get at `turn`, its place in the release; `until`: when a defer ends."""

    message_id: str
    campaign: str
    channel: str
    outcome: str
    reason: str
    turn: Instant
    until: Instant | None


class HoldPlan(msgspec.Struct, frozen=True):
    """What lifting a hold would do: see services/orchestrator/holds/lift_plan.py.

    `waiting`: messages that the hold keeps back; `judged`: how many of them were evaluated; `seconds`: length of the
    release; `expired`: how many of the evaluated ones would expire before their turn.
    """

    at: Instant
    waiting: int
    judged: int
    seconds: int
    expired: int
    now: tuple[DecisionCount, ...]
    after_caps: tuple[DecisionCount, ...]
    sample: tuple[HoldPlanSample, ...]

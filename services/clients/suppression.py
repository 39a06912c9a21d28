"""The door to this service for the others."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from schemas.facts import (
    CustomerAddressHashes,
    HoldFact,
    LogPositions,
    SuppressionRequest,
    SuppressionResponse,
    Suppressions,
)
from schemas.recorded import SuppressionHistory, SuppressionHistoryRequest
from schemas.times import Instant
from services.kit.http import internal_api
from services.suppression.as_of import SuppressionsAsOf

__all__ = [
    "DEFAULT_RELEASE_RATE",
    "MAX_RELEASE_RATE",
    "HoldEnd",
    "HoldEndsRequest",
    "PastSuppressions",
    "PastSuppressionsRequest",
    "PolicySituations",
    "SuppressionClient",
    "SuppressionsAsOf",
    "address_key_fingerprint",
]

NO_SUPPRESSIONS: Mapping[str, Suppressions] = MappingProxyType({})
FACTS_PATH = "/internal/suppression/facts"
FACTS_AT_PATH = "/internal/suppression/facts-at"
HOLDS_PATH = "/internal/suppression/holds"
HOLD_ENDS_PATH = "/internal/suppression/holds/ends"
RECORDED_PATH = "/internal/suppression/recorded"
SITUATIONS_PATH = "/internal/suppression/situations"
BACKGROUND_TIMEOUT = 30.0
"""Seconds for an answer that nobody waits for."""

DEFAULT_RELEASE_RATE = 50
"""Messages a second in which what a hold kept back is released, unless whoever lifts it says otherwise."""
MAX_RELEASE_RATE = 1000


class PolicySituations(msgspec.Struct, frozen=True):
    """The situations of the policy version that is about to become active, in the form of its document."""

    policy_version: int
    situations: list[dict[str, Any]]


class PastSuppressionsRequest(msgspec.Struct, frozen=True):
    """What was known of a customer and their addresses between two instants of the past."""

    customer: CustomerAddressHashes
    since: Instant
    until: Instant
    address_key: str = ""


class PastSuppressions(msgspec.Struct, frozen=True):
    """The facts as of `since` and after each change until `until`.

    `unknown`: how many entries of addresses stood then and were removed later, so that whose they were is not kept.
    """

    facts: tuple[SuppressionsAsOf, ...]
    unknown: int = 0


class HoldEndsRequest(msgspec.Struct, frozen=True):
    """How did the holds under these keys end, as of an instant?"""

    keys: tuple[str, ...]
    at: Instant


class HoldEnd(msgspec.Struct, frozen=True):
    """How a hold ended: lifted, or by itself. `rate`: messages a second in which what it kept back is released."""

    key: str
    lifted: bool
    rate: int


class Acknowledgement(msgspec.Struct, frozen=True):
    """Nothing to tell but that it is done."""

    done: bool = True


def address_key_fingerprint(address_key: bytes) -> str:
    """What tells two address keys apart without giving either away."""
    return hashlib.sha256(b"tactful address key\0" + address_key).hexdigest()[:16]


def _known_version(known: Suppressions | None) -> int:
    """The version to name in a question: none when an entry of an address is known, for that has no version."""
    if known is None or any(entry.address is not None for entry in known.entries):
        return -1
    return known.version


class SuppressionClient:
    """Asks for facts and hands over situations.

    `address_key` is the key that hashes the addresses asked about. Every method raises Transient when the service
    cannot answer now, Permanent when it refuses.
    """

    def __init__(self, http: httpx.AsyncClient, service_key: str, address_key: bytes) -> None:
        self._http = http
        self._service_key = service_key
        self._fingerprint = address_key_fingerprint(address_key)

    async def get_facts(
        self,
        queries: Sequence[CustomerAddressHashes],
        positions: LogPositions,
        known: Mapping[str, Suppressions] = NO_SUPPRESSIONS,
    ) -> SuppressionResponse:
        """Facts of the customers in the order asked, and everybody's holds, no older than the log positions.

        `known`: earlier answers about the same addresses, which are not repeated over the wire where they still hold.
        """
        versions = tuple(_known_version(known.get(item.customer)) for item in queries) if known else ()
        payload = SuppressionRequest(tuple(queries), positions, self._fingerprint, versions)
        answer = await internal_api.call(self._http, FACTS_PATH, payload, SuppressionResponse, key=self._service_key)
        if not known:
            return answer
        updated = {item.customer: item for item in answer.customers}
        customers = tuple(updated.get(item.customer) or known[item.customer] for item in queries)
        return msgspec.structs.replace(answer, customers=customers)

    async def get_facts_at(self, queries: CustomerAddressHashes, since: Instant, until: Instant) -> PastSuppressions:
        """What was known of the customer as of `since`, and after each change until `until`."""
        payload = PastSuppressionsRequest(queries, since, until, self._fingerprint)
        return await internal_api.call(self._http, FACTS_AT_PATH, payload, PastSuppressions, key=self._service_key)

    async def read_recorded(
        self, queries: Sequence[CustomerAddressHashes], since: Instant, until: Instant
    ) -> SuppressionHistory:
        """What was known of these customers as of `since`, and after each change until `until`."""
        payload = SuppressionHistoryRequest(tuple(queries), since, until, self._fingerprint)
        return await internal_api.call(
            self._http, RECORDED_PATH, payload, SuppressionHistory, key=self._service_key, timeout=BACKGROUND_TIMEOUT
        )

    async def get_holds(self) -> tuple[HoldFact, ...]:
        """Everybody's holds, in force or to come."""
        return await internal_api.call(self._http, HOLDS_PATH, {}, tuple[HoldFact, ...], key=self._service_key)

    async def get_hold_ends(self, keys: Sequence[str], at: Instant) -> tuple[HoldEnd, ...]:
        """How the holds under these keys ended last; one that never ended is absent."""
        return await internal_api.call(
            self._http, HOLD_ENDS_PATH, HoldEndsRequest(tuple(keys), at), tuple[HoldEnd, ...], key=self._service_key
        )

    async def set_situations(self, policy_version: int, situations: Sequence[dict[str, Any]]) -> None:
        """Put the situations of a policy in force, before that policy becomes active."""
        payload = PolicySituations(policy_version, list(situations))
        await internal_api.call(self._http, SITUATIONS_PATH, payload, Acknowledgement, key=self._service_key)

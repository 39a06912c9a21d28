"""The door to this service for the others."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from schemas.facts import Asked, HoldFact, Positions, SuppressionAnswer, SuppressionQuestion, Suppressions
from schemas.recorded import RecordedSuppressions, SuppressionsBetween
from schemas.times import Instant
from services.kit.http import internal_api
from services.suppression.as_of import Past

__all__ = [
    "MOST_RATE",
    "RATE",
    "HandedSituations",
    "HoldEnd",
    "HoldEnds",
    "Past",
    "PastAnswer",
    "PastQuestion",
    "SuppressionClient",
    "fingerprint",
]

NOTHING_KNOWN: Mapping[str, Suppressions] = MappingProxyType({})
FACTS = "/internal/suppression/facts"
FACTS_AT = "/internal/suppression/facts-at"
HOLDS = "/internal/suppression/holds"
ENDS = "/internal/suppression/holds/ends"
RECORDED = "/internal/suppression/recorded"
SITUATIONS = "/internal/suppression/situations"
PATIENCE = 30.0
"""Seconds for an answer that nobody waits for."""

RATE = 50
"""Messages a second in which what a hold kept back is released, unless whoever lifts it says otherwise."""
MOST_RATE = 1000


class HandedSituations(msgspec.Struct, frozen=True):
    """The situations of the policy version that is about to become active, in the form of its document."""

    policy_version: int
    situations: list[dict[str, Any]]


class PastQuestion(msgspec.Struct, frozen=True):
    """What was known of a customer and their addresses between two instants of the past."""

    customer: Asked
    since: Instant
    until: Instant
    address_key: str = ""


class PastAnswer(msgspec.Struct, frozen=True):
    """The facts as of `since` and after each change until `until`.

    `unknown`: how many entries of addresses stood then and were removed later, so that whose they were is not kept.
    """

    facts: tuple[Past, ...]
    unknown: int = 0


class HoldEnds(msgspec.Struct, frozen=True):
    """How did the holds under these keys end, as of an instant?"""

    keys: tuple[str, ...]
    at: Instant


class HoldEnd(msgspec.Struct, frozen=True):
    """How a hold ended: lifted, or by itself. `rate`: messages a second in which what it kept back is released."""

    key: str
    lifted: bool
    rate: int


class Done(msgspec.Struct, frozen=True):
    """Nothing to tell but that it is done."""

    done: bool = True


def fingerprint(address_key: bytes) -> str:
    """What tells two address keys apart without giving either away."""
    return hashlib.sha256(b"tactful address key\0" + address_key).hexdigest()[:16]


def _version(known: Suppressions | None) -> int:
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
        self._key = service_key
        self._fingerprint = fingerprint(address_key)

    async def facts(
        self, asked: Sequence[Asked], positions: Positions, known: Mapping[str, Suppressions] = NOTHING_KNOWN
    ) -> SuppressionAnswer:
        """Facts of the customers in the order asked, and everybody's holds, no older than the log positions.

        `known`: earlier answers about the same addresses, which are not repeated over the wire where they still hold.
        """
        versions = tuple(_version(known.get(item.customer)) for item in asked) if known else ()
        question = SuppressionQuestion(tuple(asked), positions, self._fingerprint, versions)
        answer = await internal_api.ask(self._http, FACTS, question, SuppressionAnswer, key=self._key)
        if not known:
            return answer
        fresh = {item.customer: item for item in answer.customers}
        customers = tuple(fresh.get(item.customer) or known[item.customer] for item in asked)
        return msgspec.structs.replace(answer, customers=customers)

    async def facts_at(self, asked: Asked, since: Instant, until: Instant) -> PastAnswer:
        """What was known of the customer as of `since`, and after each change until `until`."""
        question = PastQuestion(asked, since, until, self._fingerprint)
        return await internal_api.ask(self._http, FACTS_AT, question, PastAnswer, key=self._key)

    async def recorded(self, asked: Sequence[Asked], since: Instant, until: Instant) -> RecordedSuppressions:
        """What was known of these customers as of `since`, and after each change until `until`."""
        question = SuppressionsBetween(tuple(asked), since, until, self._fingerprint)
        return await internal_api.ask(
            self._http, RECORDED, question, RecordedSuppressions, key=self._key, timeout=PATIENCE
        )

    async def holds(self) -> tuple[HoldFact, ...]:
        """Everybody's holds, in force or to come."""
        return await internal_api.ask(self._http, HOLDS, {}, tuple[HoldFact, ...], key=self._key)

    async def ends(self, keys: Sequence[str], at: Instant) -> tuple[HoldEnd, ...]:
        """How the holds under these keys ended last; one that never ended is absent."""
        return await internal_api.ask(self._http, ENDS, HoldEnds(tuple(keys), at), tuple[HoldEnd, ...], key=self._key)

    async def set_situations(self, policy_version: int, situations: Sequence[dict[str, Any]]) -> None:
        """Put the situations of a policy in force, before that policy becomes active."""
        question = HandedSituations(policy_version, list(situations))
        await internal_api.ask(self._http, SITUATIONS, question, Done, key=self._key)

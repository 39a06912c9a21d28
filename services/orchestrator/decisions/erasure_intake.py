"""What the pipeline does about erased customers: it records erasures, and passes over events of those who are erased.

The pipeline learns from the facts that it reads anyway whether a customer is erased, so an event costs nothing more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from schemas.erasures import ErasureProgress
from schemas.event import Event, customers_of
from schemas.service_api import LogPositions
from schemas.vocabulary import SuppressionReason
from services.erasure import store as erasures
from services.erasure.erased_customers import ErasedCustomers
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Tx
from services.orchestrator.decisions.facts_reader import positions_by_topic
from services.orchestrator.policy.customer_facts import Facts


class ErasuresApi(Protocol):
    """Another service that erases: the clients of preference, which knows hashes of addresses, and of suppression."""

    async def get_erasures(self, pseudonyms: Sequence[str], positions: LogPositions) -> tuple[ErasureProgress, ...]:
        """The erasures of these customers, once the log is applied up to the positions. Raises Transient."""


class AddressBlockApi(Protocol):
    """Blocks addresses of erased customers: services.clients.suppression.SuppressionClient."""

    async def block_addresses(self, pseudonym: str, hashes: Sequence[str], positions: LogPositions) -> None:
        """Let the `erased` entry of a customer cover these addresses. Idempotent. Raises Transient."""


class ErasureIntake:
    """Records erasures. `notify` tells the job that removes data that there is work, once it is committed."""

    def __init__(
        self,
        preference: ErasuresApi,
        suppression: AddressBlockApi,
        erased: ErasedCustomers,
        notify: Callable[[], None],
    ) -> None:
        self._preference = preference
        self._suppression = suppression
        self._erased = erased
        self.notify = notify

    async def block_addresses(self, events: Sequence[Event], positions: Mapping[Partition, int]) -> None:
        """Have the addresses blocked that preference knew, before this service counts the customers as erased.

        `positions`: those of the batch, so that both services have applied the erasures. Raises Transient.
        """
        sent = positions_by_topic(positions)
        pseudonyms = sorted({self._erased.pseudonyms.of_customer(event.subject) for event in events})
        for each in await self._preference.get_erasures(pseudonyms, sent):
            await self._suppression.block_addresses(each.pseudonym, each.address_hashes, sent)

    async def block_addresses_of(self, pseudonym: str) -> bool:
        """Have the addresses of one customer blocked; False while preference has not heard of the erasure.

        For the job, which must not be finished before: an erasure may have been a dead letter in preference.
        """
        found = await self._preference.get_erasures([pseudonym], {})
        for each in found:
            await self._suppression.block_addresses(pseudonym, each.address_hashes, {})
        return bool(found)

    async def record(self, tx: Tx, events: Sequence[Event]) -> None:
        """Record these erasures; one that is known already stays as it is."""
        for event in events:
            pseudonym = self._erased.pseudonyms.of_customer(event.subject)
            await erasures.begin_erasure(tx, pseudonym, event.subject, event.time)

    async def concerns_erased(self, tx: Tx, record: Record) -> bool:
        """Whether a record is about an erased customer."""
        return bool(await self._erased.among(tx, customers_of(record.key, record.headers, record.value)))


def is_erased(facts: Facts) -> bool:
    """Whether an entry says that the customer was erased."""
    return any(
        entry.reason == SuppressionReason.ERASED and entry.address is None for entry in facts.suppressions.entries
    )

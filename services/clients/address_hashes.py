"""Keyed hashes of customers' addresses, in the form in which suppression is asked about them."""

from collections.abc import Sequence
from functools import lru_cache

from schemas.addresses import create_address_hasher, other_spellings
from schemas.facts import Address
from schemas.service_api import CustomerAddressHashes

CACHE_SIZE = 16_384
"""Hashes in the cache: each is needed when a message is decided and again in its recheck."""


class AddressHasher:
    """Hashes addresses under the deployment's key. `region`: the organisation's country."""

    def __init__(self, key: bytes, region: str | None) -> None:
        self._region = region
        self._cached_hash = lru_cache(maxsize=CACHE_SIZE)(create_address_hasher(key))
        self._cached_spellings = lru_cache(maxsize=CACHE_SIZE)(self._hash_other_spellings)

    def hash_address(self, channel: str, canonical: str) -> str:
        """The keyed hash under which suppression knows an address."""
        return self._cached_hash(channel, canonical)

    def query(self, customer: str, addresses: Sequence[Address], *, with_spellings: bool) -> CustomerAddressHashes:
        """What to ask about these addresses. `with_spellings`: also for entries that are hashed as they were spelt."""
        hashes = tuple([(item.channel, self._cached_hash(item.channel, item.canonical_form)) for item in addresses])
        if not with_spellings:
            return CustomerAddressHashes(customer, hashes)
        spellings = [
            (index, digest)
            for index, item in enumerate(addresses)
            if item.problem is None
            for digest in self._cached_spellings(item.channel, item.address, item.canonical_form)
        ]
        return CustomerAddressHashes(customer, hashes, tuple(spellings))

    def _hash_other_spellings(self, channel: str, given: str, canonical: str) -> tuple[str, ...]:
        return tuple(
            self._cached_hash(channel, text) for text in other_spellings(channel, given, canonical, self._region)
        )

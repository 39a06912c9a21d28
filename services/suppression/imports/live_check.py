"""The counter-check of an import: are its rows in force? Asked by the question that decisions ask, of some rows.

Which rows is settled while they are applied: at most MAX_PROBES, spread evenly over the file, the first and the newest
among them. A probe has keyed hashes, no address.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from schemas.facts import SuppressionEntry
from schemas.service_api import CustomerAddressHashes, SuppressionRequest, SuppressionResponse
from schemas.vocabulary import CHANNELS
from services.suppression.entry_registration import HashedSuppression
from services.suppression.suppression_state import is_covered_by, to_entry

MAX_PROBES: Final = 64
_NOBODY: Final = "tactful import check"
"""Stands for the customer in questions about addresses; facts of such a customer are never kept."""
AskFacts = Callable[[SuppressionRequest], Awaitable[SuppressionResponse]]


class Probe(msgspec.Struct, frozen=True, array_like=True):
    """A row to be asked about: its line, whom it names, and the entry that must be in force."""

    row: int
    customer: str | None
    hashes: tuple[str, ...]
    entry: SuppressionEntry


class ProbeSample(msgspec.Struct, array_like=True):
    """The probes of the parts so far. Of more parts than MAX_PROBES, every second is dropped, again and again."""

    stride: int = 1
    parts: int = 0
    probes: list[Probe] = []

    def count_part(self, probe: Probe) -> None:
        """Take the probe of one more part, if it is its turn."""
        if self.parts % self.stride == 0:
            self.probes.append(probe)
        self.parts += 1
        if len(self.probes) > MAX_PROBES:
            self.probes = self.probes[::2]
            self.stride *= 2


def make_probe(row: int, hashed: HashedSuppression) -> Probe:
    """The probe of a row."""
    return Probe(row, hashed.document.customer, hashed.hashes, to_entry(hashed.document))


def pack(sample: ProbeSample) -> bytes:
    """The sample as it is kept."""
    return msgspec.msgpack.encode(sample)


def unpack(raw: bytes | None) -> ProbeSample:
    """The sample that `pack` encoded."""
    return ProbeSample() if raw is None else msgspec.msgpack.decode(raw, type=ProbeSample)


async def find_missing(ask: AskFacts, fingerprint: str, probes: Sequence[Probe]) -> list[int]:
    """The rows of those probes that the facts do not know of. `fingerprint`: of the address key. Raises Transient."""
    missing = []
    for probe in probes:
        # An answer names the place of an address in the question; which channel stands there makes no difference.
        addresses = tuple((CHANNELS[0], digest) for digest in probe.hashes)
        query = CustomerAddressHashes(probe.customer or _NOBODY, addresses)
        (facts,) = (await ask(SuppressionRequest((query,), {}, fingerprint))).customers
        places: Sequence[int | None] = range(len(addresses)) if addresses else (None,)
        if not all(_is_known(probe.entry, facts.entries, place) for place in places):
            missing.append(probe.row)
    return missing


def _is_known(entry: SuppressionEntry, known: Sequence[SuppressionEntry], place: int | None) -> bool:
    """Whether an entry stands at a place of the question, or the `erased` one of an erased customer."""
    return any(
        each.address == place and (is_covered_by(entry, each) or each.reason == "erased") for each in known
    ) or any(each.reason == "erased" and each.address is None for each in known)

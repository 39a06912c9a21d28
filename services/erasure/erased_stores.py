"""What a service says of each of its tables when a customer is erased: whether rows are removed, made anonymous or
kept, what remains, and why. With the numbers that the job records it is the proof of an erasure.
"""

from typing import Final, Literal, NamedTuple

EMBEDDED_LOG: Final = "embedded_log"
"""The name under which the records of the log of `tactful dev` are counted."""
StoreAction = Literal["removed", "anonymised", "kept"]


class ErasedStore(NamedTuple):
    """A table that may hold something of a person. `remains`: what is left of it, and why; empty where nothing is."""

    table: str
    action: StoreAction
    remains: str = ""


SHARED_STORES: Final = (
    ErasedStore("dead_letter", "removed"),
    ErasedStore("idempotency", "removed"),
    ErasedStore(
        "erasure",
        "kept",
        "the pseudonym, times and numbers of rows: whoever has the id and the address key can prove the erasure, and "
        "events that come later are passed over",
    ),
    ErasedStore("erased_rows", "kept", "these numbers, by the pseudonym"),
)
"""Tables of each service."""
SHARED_IMPERSONAL: Final = ("partition_lease", "record_in_hand", "schema_version")
"""Tables of each service that hold nothing of a person."""


def check_declarations(stores: tuple[ErasedStore, ...], impersonal: frozenset[str]) -> None:
    """Raises ValueError where a table is named twice, or is said to keep something without saying what."""
    names = [each.table for each in stores]
    twice = {name for name in names if names.count(name) > 1 or name in impersonal}
    silent = {each.table for each in stores if each.action != "removed" and not each.remains}
    if twice or silent:
        raise ValueError(f"declared twice: {sorted(twice)}; without a word about what remains: {sorted(silent)}")

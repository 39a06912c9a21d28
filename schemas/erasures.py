"""How far the erasure of a customer is in a service, and what it has done to each table: part of the internal API."""

from typing import Literal

import msgspec

from schemas.times import Instant


class StoreErasure(msgspec.Struct, frozen=True):
    """What an erasure has done to one table of a service. `remains`: what is left of the person there, and why; empty
    where nothing is. `rows`: how many were removed or made anonymous, and `at` when the last one was, or when it was
    found that there are none; None where nothing is recorded (yet, or by an earlier version).
    """

    store: str
    action: Literal["removed", "anonymised", "kept"]
    remains: str
    rows: int | None
    at: Instant | None


class ErasureProgress(msgspec.Struct, frozen=True):
    """How far one erasure is in one service. `finished`: None while rows are left; `address_hashes`: preference alone
    knows them; `stores`: each table that may hold something of a person.
    """

    pseudonym: str
    recorded: Instant
    finished: Instant | None
    rows: int
    address_hashes: tuple[str, ...] = ()
    stores: tuple[StoreErasure, ...] = ()

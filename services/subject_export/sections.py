"""Sections of an export: which rows of a service tell about a customer, and how they are read."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.subject_export import ExportPage, ExportPosition, ExportRequest
from schemas.times import format_instant
from services.kit.db.database import Database

ROWS_AT_ONCE: Final = 50
BYTES_AT_ONCE: Final = 1_000_000
"""About so many bytes of rows are on a page, at least one row."""
_INSTANTS: Final = frozenset(
    {"at", "time", "received", "recorded", "created", "updated", "since", "until", "expires", "expires_at", "timestamp"}
    | {"event_time", "start", "ended", "found", "marked_at", "claimed_at", "opened", "closed_at", "added_at", "due"}
    | {"removed_at", "decided_at", "held_from", "redriven_at", "published_at", "requested", "finished", "seen_at"}
    | {"read_at", "clicked_at", "archived_at"}
)
_HIDDEN: Final = frozenset({"customer"})
_LEAST_INSTANT: Final = 100_000_000_000_000
"""1973, in microseconds: what is smaller is no instant."""
Describe = Callable[[dict[str, Any]], dict[str, Any]]


class ExportSection(NamedTuple):
    """Rows of a table about a customer. `title`: for people. `key`: columns in whose order they are told, together
    unique. `where`: SQL that names `:customer`, and may name `:key`, the id as bytes, and `{hashes}`, a list of hashes
    of the customer's addresses. `describe` replaces columns by what they mean.
    """

    table: str
    title: str
    key: tuple[str, ...]
    where: str = "customer = :customer"
    describe: Describe = dict


class SectionReader:
    """Reads the sections of a service, in order."""

    def __init__(self, database: Database, sections: Sequence[ExportSection]) -> None:
        self._database = database
        self._sections = tuple(sections)

    async def read_page(self, request: ExportRequest) -> ExportPage:
        """The page at a position. Raises Transient."""
        place = request.position
        section = self._sections[place.section]
        rows = await self._read_rows(section, request)
        items: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            item = section.describe(row)
            items.append({name: readable(name, value) for name, value in item.items() if name not in _HIDDEN})
            size += len(msgspec.json.encode(items[-1]))
            if size > BYTES_AT_ONCE:
                break
        following = self._next_position(place, section, rows, len(items))
        return ExportPage(section.table, section.title, tuple(items), following)

    async def _read_rows(self, section: ExportSection, request: ExportRequest) -> list[dict[str, Any]]:
        after = {f"after_{number}": value for number, value in enumerate(request.position.after)}
        beyond = f" AND ({', '.join(section.key)}) > ({', '.join(f':{name}' for name in after)})" if after else ""
        params: dict[str, Any] = {"customer": request.customer, "most": ROWS_AT_ONCE, **after}
        async with self._database.read() as tx:
            if "{hashes}" in section.where:
                params["hashes"] = tx.list_parameter(list(request.address_hashes))
            if ":key" in section.where:
                params["key"] = request.customer.encode("utf-8", "surrogatepass")
            where = section.where.replace("{hashes}", tx.in_list("hash", "hashes"))
            found = await tx.rows(
                f"SELECT * FROM {section.table} WHERE ({where}){beyond} ORDER BY {', '.join(section.key)} LIMIT :most",
                **params,
            )
        return [dict(row._mapping) for row in found]

    def _next_position(
        self, place: ExportPosition, section: ExportSection, rows: Sequence[Mapping[str, Any]], told: int
    ) -> ExportPosition | None:
        if told < len(rows) or len(rows) == ROWS_AT_ONCE:
            return ExportPosition(place.section, tuple(rows[told - 1][name.strip('"')] for name in section.key))
        return ExportPosition(place.section + 1) if place.section + 1 < len(self._sections) else None


def named(value: Any) -> Any:
    """A value of ours as JSON, with the names of fields also where it is packed without them."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): named(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [named(each) for each in value]
    return msgspec.to_builtins(value)


def readable(name: str, value: object) -> Any:
    """A column as JSON: instants in RFC 3339, packed values as what they hold."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return format_instant(value) if name in _INSTANTS and value > _LEAST_INSTANT else value
    if isinstance(value, bytes | memoryview):
        return _unpack(bytes(value))
    return value


def _unpack(data: bytes) -> Any:
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            return msgspec.to_builtins(decode(data), str_keys=True)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}

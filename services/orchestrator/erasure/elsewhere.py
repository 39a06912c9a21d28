"""Where something of an erased customer may be that no table of a service holds, and what is to be done about it."""

from typing import Final

from typing_extensions import TypedDict

from schemas.times import format_instant
from services.erasure import store
from services.erasure.erased_stores import EMBEDDED_LOG
from services.kit.db.database import Database

_PLACES: Final = {
    "backups": "A backup holds what it held. After a restore, send tactful.customer.erased again for each erasure "
    "since the backup; keep the list of erased ids where you keep such requests.",
    "providers": "What was sent to them stays there: ask them to erase by address.",
    "logs": "They hold ids of events and messages, never addresses or contents, until they are rotated.",
    "files": "Letters of the adapter print_folder, and files of exports that somebody has taken: delete them by hand.",
}
_TOPICS: Final = (
    "Kafka keeps records of customer.events and of its dead letters for as long as the retention of the topics says; "
    "no service takes what they say of this customer any more."
)


class PlaceElsewhere(TypedDict):
    """Where else something of the customer may be, and what has become of it, or what is left to do."""

    place: str
    what: str


async def describe_elsewhere(database: Database, pseudonym: str) -> list[PlaceElsewhere]:
    """The places, each with what is so. The log of `tactful dev` is named where its records were removed."""
    async with database.read() as tx:
        removed = (await store.load_rows(tx, [pseudonym])).get(pseudonym, {}).get(EMBEDDED_LOG)
    topics = {"topics": _TOPICS} if removed is None else {EMBEDDED_LOG: _describe_log(removed)}
    return [PlaceElsewhere(place=place, what=what) for place, what in (topics | _PLACES).items()]


def _describe_log(removed: store.ErasedRows) -> str:
    at = format_instant(removed.at)
    return f"Records of the embedded log that were removed: {removed.rows}, the last at {at}."

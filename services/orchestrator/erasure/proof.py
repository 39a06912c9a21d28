"""The proof of an erasure: how far it is in each service, what became of each table, and what remains."""

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from schemas.erasures import ErasureProgress
from schemas.times import format_instant
from services.erasure.progress import read_progress
from services.erasure.pseudonyms import Pseudonyms
from services.kit.db.database import Database
from services.kit.http.answer_types import TimeText
from services.orchestrator.decisions.erasure_intake import ErasuresApi
from services.orchestrator.erasure.elsewhere import PlaceElsewhere, describe_elsewhere
from services.orchestrator.erasure.erased_stores import ERASED_STORES


class ErasedStoreFields(TypedDict):
    """What became of one table. `rows`: how many were removed or made anonymous, and `at` when the last one was, or
    when it was found that there are none; null where that is not recorded: not yet, for what is kept, or of an erasure
    by an earlier version. `remains`: what is left of the person, and why; empty where nothing is.
    """

    store: str
    action: Literal["removed", "anonymised", "kept"]
    rows: int | None
    at: TimeText | None
    remains: str


class ServiceErasure(TypedDict):
    """How far one service is. `rows`: how many of its rows it has removed or made anonymous so far; `stores`: of each
    of its tables that may hold something of a person.
    """

    state: Literal["not_begun", "erasing", "finished"]
    recorded: TimeText | None
    finished: TimeText | None
    rows: int
    stores: list[ErasedStoreFields]


class ErasureFields(TypedDict):
    """The erasure of a customer. `pseudonym` stands for the customer wherever something of them is counted on."""

    pseudonym: str
    finished: bool
    services: dict[str, ServiceErasure]
    elsewhere: list[PlaceElsewhere]


class ErasureProofs:
    """Reads proofs; `services`: the others."""

    def __init__(self, database: Database, pseudonyms: Pseudonyms, services: Mapping[str, ErasuresApi]) -> None:
        self._database = database
        self._pseudonyms = pseudonyms
        self._services = services

    async def load(self, customer: str) -> ErasureFields | None:
        """The proof; None where no service has heard that the customer was erased. Raises Transient."""
        pseudonym = self._pseudonyms.of_customer(customer)
        found = {"orchestrator": await read_progress(self._database, [pseudonym], ERASED_STORES)}
        for name, service in self._services.items():
            found[name] = await service.get_erasures([pseudonym], {})
        if not any(found.values()):
            return None
        progress = {name: _describe(each[0] if each else None) for name, each in found.items()}
        return {
            "pseudonym": pseudonym,
            "finished": all(each["state"] == "finished" for each in progress.values()),
            "services": progress,
            "elsewhere": await describe_elsewhere(self._database, pseudonym),
        }


def _describe(progress: ErasureProgress | None) -> ServiceErasure:
    if progress is None:
        return {"state": "not_begun", "recorded": None, "finished": None, "rows": 0, "stores": []}
    return {
        "state": "erasing" if progress.finished is None else "finished",
        "recorded": format_instant(progress.recorded),
        "finished": None if progress.finished is None else format_instant(progress.finished),
        "rows": progress.rows,
        "stores": [
            {
                "store": each.store,
                "action": each.action,
                "rows": each.rows,
                "at": None if each.at is None else format_instant(each.at),
                "remains": each.remains,
            }
            for each in progress.stores
        ],
    }

"""One kind of import in a service: its routes, and the jobs that run it."""

from functools import partial
from typing import Final, Generic

from fastapi import APIRouter

from services.bulk_import.import_routes import ImportPaths, import_routes
from services.bulk_import.import_runner import HOUSEKEEPING_SECONDS, ImportRunner
from services.bulk_import.import_steps import Document, ImportSteps
from services.bulk_import.import_store import ImportStore
from services.bulk_import.sealed_parts import PartSeal
from services.bulk_import.upload import MAX_IMPORT_BYTES, ImportUpload
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import repeat_every
from services.kit.runtime.service import Service

IMPORT_ACTION: Final = "customers:import"
"""What the imports of customers, consents, contacts and situations need (schemas/roles.py)."""


class BulkImport(Generic[Document]):
    """One kind of import, ready to be wired into its service."""

    def __init__(
        self,
        paths: ImportPaths,
        store: ImportStore,
        steps: ImportSteps[Document],
        database: Database,
        seal: PartSeal,
        clock: Clock,
    ) -> None:
        self._paths = paths
        self._store = store
        self._database = database
        self._clock = clock
        self.upload = ImportUpload(database, store, steps.layout, seal, clock)
        self.runner = ImportRunner(database, store, steps, seal, clock)

    @property
    def large_body(self) -> tuple[str, int]:
        """The path that takes files, and how many bytes it takes."""
        return self._paths.path, MAX_IMPORT_BYTES

    def routes(self) -> APIRouter:
        """The HTTP API."""
        return import_routes(self._paths, self._database, self._store, self.upload, self._clock)

    def add_jobs(self, service: Service) -> None:
        """What runs imports, and deletes old ones."""
        service.add_job(f"imports {self._store.table}", self.runner.run_until_stopped)
        tidy_up = partial(repeat_every, HOUSEKEEPING_SECONDS, self.runner.tidy_up)
        service.add_job(f"old imports {self._store.table}", tidy_up)

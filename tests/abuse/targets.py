"""What is attacked, `tactful dev` or the three services on PostgreSQL and Kafka, and what is seen from outside."""

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.kit.db.database import Database
from tests.abuse import inputs
from tests.support.command_line import RunningProduct, fill
from tests.support.installation import Installation
from tests.support.seed_documents import Api, customer
from tests.support.service_processes import ADMIN_KEY

_OF_PREFERENCE = ("/v1/preferences", "/p/", "/u/")
_OF_SUPPRESSION = ("/v1/suppressions", "/v1/holds", "/v1/situations")


@dataclass(frozen=True)
class Target:
    """Its services by name, with the address and the process of each; keys of an admin, an editor and a reviewer; and
    the URL of the database in which decisions are.
    """

    addresses: Mapping[str, str]
    processes: Mapping[str, int]
    keys: Mapping[str, str]
    database: str

    def address_for(self, path: str) -> str:
        """Who serves a path, as a gateway routes it."""
        name = "orchestrator"
        if path.startswith(_OF_PREFERENCE):
            name = "preference"
        elif path.startswith(_OF_SUPPRESSION):
            name = "suppression"
        return self.addresses.get(name, self.addresses["orchestrator"])

    async def ask(self, key: str, method: str, path: str, body: Any = None) -> None:
        """One request that must succeed."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"}
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            answer = await client.request(method, self.address_for(path) + path, json=body, headers=headers)
        answer.raise_for_status()

    async def activate_campaigns(self) -> None:
        """Leads the campaigns that attack when events come through their lives."""
        for document in inputs.active_campaigns():
            path = f"/v1/campaigns/{document['key']}"
            await self.ask("editor", "PUT", path, document)
            await self.ask("editor", "POST", f"{path}/submit")
            await self.ask("reviewer", "POST", f"{path}/approve")
            await self.ask("reviewer", "POST", f"{path}/activate")

    def memory(self, which: str) -> dict[str, int]:
        """Bytes of memory of each process: now (`VmRSS`), or at most so far (`VmHWM`)."""
        found = {}
        for name, pid in self.processes.items():
            status = Path(f"/proc/{pid}/status").read_text("ascii")
            [line] = [line for line in status.splitlines() if line.startswith(which)]
            found[name] = int(line.split()[1]) * 1024
        return found

    def ended(self) -> list[str]:
        """The services whose process is not there any more."""
        return [name for name, pid in self.processes.items() if not _is_running(pid)]

    async def count_decided(self, expected: int, patience: float) -> int:
        """How many of the good events have a decision; returns as soon as all have, at the latest after `patience`
        seconds. Asks the database, a few times in all.
        """
        database = Database.open(self.database, pool=1)
        try:
            for waited in range(round(patience) + 1):
                async with database.read() as tx:
                    row = await tx.row(_DECIDED, source=inputs.GOOD_SOURCE)
                assert row is not None
                if row.decided >= expected or waited >= patience:
                    return int(row.decided)
                await asyncio.sleep(1)
        finally:
            await database.close()
        raise AssertionError


_DECIDED = "SELECT count(DISTINCT event_id) AS decided FROM decision WHERE event_source = :source"


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return status.rpartition(") ")[2][0] != "Z"


def development_target(running: RunningProduct) -> Target:
    """`tactful dev`, with what examples/ holds. All its services are one process."""
    fill(running)
    port = running.address.rpartition(":")[2]
    found = subprocess.run(["pgrep", "-f", f"tactful dev --port {port} "], capture_output=True, text=True, check=True)
    return Target(
        {"orchestrator": running.address},
        {"orchestrator": int(found.stdout.split()[0])},
        {**running.keys, "editor": running.keys["admin"]},
        f"sqlite+aiosqlite:///{running.directory / 'orchestrator.db'}",
    )


def services_target(installation: Installation) -> Target:
    """The three services as processes of their own, on PostgreSQL and Kafka."""
    cluster = installation.cluster
    names = {"orchestrator": "all", "preference": "preference", "suppression": "suppression"}
    processes = {name: cluster[process].running for name, process in names.items()}
    keys = {"admin": ADMIN_KEY}
    for name, role in (("editor", "admin"), ("reviewer", "approver")):
        body = {"name": f"abuse-{name}", "role": role}
        keys[name] = Api(cluster.orchestrator).call("POST", "/v1/keys", json=body).json()["key"]
    ada = customer("ada")
    ada["addresses"].append({"channel": "email", "address": "ada@example.com", "verified": True})
    installation.api("preference").call("PUT", "/v1/preferences/ada", json=ada)
    return Target(
        {name: cluster[process].url for name, process in names.items()},
        {name: process.pid for name, process in processes.items() if process is not None},
        keys,
        installation.plan.databases["orchestrator"],
    )

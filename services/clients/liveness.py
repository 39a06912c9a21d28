"""Whether another service answers: what a process watches of the services that it calls."""

import httpx

from services.kit.errors import Transient
from services.kit.observability.dependency import Dependency, Probe


def watched_service(name: str, http: httpx.AsyncClient) -> tuple[Dependency, Probe]:
    """Returns what `ProcessResources.watch` takes. `http` has the base URL.

    Asked is whether the process lives. Whether it is ready is its own report: a broker that is gone would otherwise be
    reported by every service about every other one.
    """

    async def probe() -> None:
        try:
            response = await http.get("/livez")
        except httpx.TransportError as error:
            raise Transient(type(error).__name__) from error
        if response.status_code != 200:
            raise Transient(f"HTTP {response.status_code}")

    return Dependency(name, str(http.base_url)), probe

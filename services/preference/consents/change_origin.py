"""From where a person changed something: the class of the network of the request, and the kind of program."""

from typing import Final, NamedTuple

from fastapi import Request

from schemas.consent_evidence import agent_family, network_of


class ChangeOrigin(NamedTuple):
    """Where a change came from. No address and no whole user agent: see schemas/consent_evidence.py."""

    network: str | None = None
    agent: str | None = None


UNKNOWN_ORIGIN: Final = ChangeOrigin()


def origin_of(request: Request) -> ChangeOrigin:
    """Where a request came from. Behind a gateway that uvicorn does not trust (FORWARDED_ALLOW_IPS), the gateway's
    network.
    """
    host = request.client.host if request.client is not None else None
    return ChangeOrigin(network_of(host), agent_family(request.headers.get("user-agent")))

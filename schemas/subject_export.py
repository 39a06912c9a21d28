"""What the services tell the orchestrator about one customer, who has asked for all that is known."""

from typing import Any

import msgspec


class ExportPosition(msgspec.Struct, frozen=True):
    """Where an export goes on: in which section, and after which row of it (its key; from the first one without)."""

    section: int = 0
    after: tuple[int | str, ...] = ()


class ExportRequest(msgspec.Struct, frozen=True):
    """Asks what a service knows of a customer. `address_hashes`: those of the customer's addresses."""

    customer: str
    address_hashes: tuple[str, ...] = ()
    position: ExportPosition = ExportPosition()


class ExportPage(msgspec.Struct, frozen=True):
    """Some rows of one section, each as JSON can say it. `next`: None on the service's last page."""

    section: str
    title: str
    items: tuple[dict[str, Any], ...]
    next: ExportPosition | None

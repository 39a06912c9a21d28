"""`GET /v1/reports/addresses`: how many customers cannot be reached, and why."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.roles import is_allowed
from schemas.times import format_instant
from schemas.vocabulary import CHANNELS
from services.kit.db.database import Database
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.preference import store
from services.preference.addresses import hygiene_store
from services.preference.addresses.hygiene import FINDINGS, ON_CHANNEL
from services.preference.addresses.hygiene_job import MADE

ACTION: Final = "address_report:read"
SEES_CUSTOMERS: Final = "customers:read"


class AddressFinding(TypedDict):
    """How many customers have this finding on the channel. `examples`: ids of some; null for roles that may not see
    customers.
    """

    finding: str
    customers: int
    examples: list[str] | None


class ChannelFindings(TypedDict):
    """What was found on a channel on which `customers` have an address."""

    channel: str
    customers: int
    findings: list[AddressFinding]


class AddressReportAnswer(TypedDict):
    """The last report; `made` is null until there is one."""

    made: TimeText | None
    channels: list[ChannelFindings]


def report_routes(database: Database) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/v1/reports", tags=["addresses"])

    @router.get(
        "/addresses",
        summary="Customers who are unreachable, unverified, stale or shared, by channel; made every six hours",
        **answers({200: AddressReportAnswer}),
    )
    async def get_address_report(
        principal: Principal = requires(ACTION, shows_more=SEES_CUSTOMERS),
    ) -> dict[str, object]:
        async with database.read() as tx:
            report, made = await hygiene_store.read_report(tx), await store.get_settled(tx, MADE)
        names = is_allowed(principal.role, SEES_CUSTOMERS)
        channels = [
            {
                "channel": channel,
                "customers": report.counts[channel, ON_CHANNEL],
                "findings": [
                    {
                        "finding": finding,
                        "customers": report.counts.get((channel, finding), 0),
                        "examples": list(report.examples.get((channel, finding), ())) if names else None,
                    }
                    for finding in FINDINGS
                    if finding != ON_CHANNEL
                ],
            }
            for channel in CHANNELS
            if (channel, ON_CHANNEL) in report.counts
        ]
        return {"made": None if made is None else format_instant(int(made)), "channels": channels}

    return router

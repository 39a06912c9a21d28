"""SQL of the report about addresses, and of who shares one. The caller owns the transaction."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from services.kit.db.database import Tx

Place = tuple[str, str]
"""A channel and a finding."""


class AddressReport(NamedTuple):
    """How many customers there are with each finding, and some of them."""

    counts: Mapping[Place, int]
    examples: Mapping[Place, Sequence[str]]


async def count_sharing(tx: Tx, values: Collection[str]) -> dict[str, int]:
    """How many customers have each of these lookup values, of those that several have."""
    if not values:
        return {}
    rows = await tx.rows(
        "SELECT value, count(*) AS customers FROM customer_lookup WHERE kind = 'address' "
        f"AND {tx.in_list('value', 'wanted')} GROUP BY value HAVING count(*) > 1",
        wanted=tx.list_parameter(sorted(values)),
    )
    return {row.value: int(row.customers) for row in rows}


async def replace_report(tx: Tx, report: AddressReport) -> None:
    """Store the report in the place of the one before."""
    await tx.execute("DELETE FROM address_report")
    await tx.execute("DELETE FROM address_report_example")
    counts = [(*place, count) for place, count in sorted(report.counts.items())]
    await tx.bulk_insert("address_report", ("channel", "finding", "customers"), counts)
    examples = [(*place, customer) for place, found in sorted(report.examples.items()) for customer in found]
    await tx.bulk_insert("address_report_example", ("channel", "finding", "customer"), examples)


async def read_report(tx: Tx) -> AddressReport:
    """The last report."""
    counts = await tx.tuples("SELECT channel, finding, customers FROM address_report")
    rows = await tx.tuples("SELECT channel, finding, customer FROM address_report_example ORDER BY customer")
    examples: dict[Place, list[str]] = {}
    for channel, finding, customer in rows:
        examples.setdefault((channel, finding), []).append(customer)
    return AddressReport({(channel, finding): int(count) for channel, finding, count in counts}, examples)

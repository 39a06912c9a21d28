"""The table of a run, as docs/performance.md shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tests.bench.contender import Figures
from tests.bench.load import CAMPAIGNS, PAST_CONTACTS, Size

HEAD = "| | events/s | CPU us/event | p50 ms | p99 ms | peak memory MiB | database bytes/event | load average |"
RULE = "|---|---|---|---|---|---|---|---|"
BEGIN, END = "<!-- begin: made by make bench -->", "<!-- end: made by make bench -->"

ROWS: Mapping[str, str] = {
    "ours": "Tactful, services as processes, null adapter",
    "reference": "Reference, null adapter",
    "embedded": "Tactful embedded, one process, SQLite, null adapter",
    "ours over http": "Tactful, webhook adapter to a loopback sink",
    "reference over http": "Reference, httpx to the same sink",
    "unwanted": "Tactful, events of a type that no campaign wants (all three services read them)",
}


HANDING_OVER: Mapping[str, str] = {
    "webhook": "webhook, signed POSTs",
    "smtp one": "smtp, one connection",
    "smtp four": "smtp, four connections",
}


def table(found: Mapping[str, Figures], half_load: Mapping[str, Figures]) -> list[str]:
    """One row for each measurement that was made."""
    lines = [HEAD, RULE]
    for key, name in ROWS.items():
        if key not in found:
            continue
        figures, late = found[key], half_load.get(key)
        cells = [
            name,
            f"{figures.rate:,.0f}",
            f"{figures.total_cpu:,.1f}" if figures.total_cpu < 100 else f"{figures.total_cpu:,.0f}",
            f"{late.percentile(0.50):,.0f}" if late else "",
            f"{late.percentile(0.99):,.0f}" if late else "",
            f"{figures.memory / 2**20:,.0f}" if figures.memory else "",
            f"{figures.bytes:,.0f}" if figures.bytes else "",
            f"{figures.load:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def shares(found: Mapping[str, Figures]) -> list[str]:
    """Where the processor time goes, by process."""
    lines = ["| processor time, us/event | " + " | |", "|---|---|"]
    for key in ("ours", "reference", "unwanted"):
        if key in found:
            parts = sorted(found[key].cpu.items(), key=lambda item: -item[1])
            lines.append(f"| {ROWS[key]} | " + ", ".join(f"{name} {spent:,.1f}" for name, spent in parts) + " |")
    return lines


def handing_over(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What adapters alone hand over."""
    lines = [
        "| handing over alone, messages of 2,000 bytes, one process | messages/s | CPU us/message |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {found[key]['rate']:,.0f} | {found[key]['cpu']:,.0f} |" for key, name in HANDING_OVER.items()
    ]
    return lines


def ratios(found: Mapping[str, Figures]) -> dict[str, float]:
    """Ours against the reference of the same run, by processor time an event and by rate."""
    result: dict[str, float] = {}
    for way in ("", " over http"):
        if "ours" + way in found and "reference" + way in found:
            ours, other = found["ours" + way], found["reference" + way]
            result["cpu" + way] = other.total_cpu / ours.total_cpu
            result["rate" + way] = ours.rate / other.rate
    return result


def spread(found: Mapping[str, Figures], name: str) -> str:
    """The lowest and the highest of a ratio among the turns."""
    way = name.removeprefix("cpu").removeprefix("rate")
    keys = ("ours" + way, "reference" + way)
    turns = zip(*(found[key].turns for key in keys), strict=True)
    each = [ratios(dict(zip(keys, turn, strict=True)))[name] for turn in turns]
    return f" (turns: {min(each):.1f} to {max(each):.1f})"


def written(
    size: Size,
    machine: str,
    found: Mapping[str, Figures],
    half_load: Mapping[str, Figures],
    adapters: Mapping[str, Mapping[str, float]],
) -> str:
    """The part of docs/performance.md that a run makes."""
    lines = [
        BEGIN,
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}.",
        f"Load `{size.name}`: {size.customers:,} customers with {PAST_CONTACTS} past contacts each, "
        f"{CAMPAIGNS} campaigns, ten rules that do not bind, a push message of 1 kB for every event; "
        f"{size.turns} turns each "
        f"with a backlog of {size.events:,} events ({size.reference_events:,} for the reference).",
        "",
        *table(found, half_load),
        "",
        *shares(found),
        "",
        *([*handing_over(adapters), ""] if adapters else []),
        *(f"- {name}: {value:.1f} times the reference{spread(found, name)}" for name, value in ratios(found).items()),
        "",
        END,
    ]
    return "\n".join(lines)


def put(document: str, part: str) -> str:
    """The document with its made part replaced, or added at its end."""
    if BEGIN not in document:
        return document.rstrip() + "\n\n" + part + "\n"
    before, _, rest = document.partition(BEGIN)
    return before + part + rest.partition(END)[2]

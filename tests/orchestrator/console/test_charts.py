"""Numbers as pictures: every decision is in them, and none falls outside."""

from schemas.times import DAY, parse_instant
from services.orchestrator.console import charts
from services.orchestrator.console.store import SlotCount
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.time_zones import load_zone

UTC = load_zone("Etc/UTC")
assert UTC is not None
NOW = parse_instant("2026-03-02T12:00:00Z")
AT = WallClock(UTC, NOW)
COUNTS = [
    SlotCount(0, "email", "send", "eligible", 90),
    SlotCount(0, "sms", "defer", "quiet_hours", 10),
    SlotCount(47, "sms", "suppress", "no_consent", 3),
    SlotCount(47, "email", "suppress", "no_consent", 4),
    SlotCount(47, "email", "fail", "render_error", 1),
]


def test_stacked_bars_hold_all_decisions_and_fit() -> None:
    found = charts.stacked_chart(COUNTS, 48, NOW - DAY, NOW, AT)
    assert [bar.outcome for bar in found.bars] == ["send", "defer", "suppress", "fail"]
    assert all(bar.x >= 0 and bar.x + bar.width <= 100 and bar.y >= 0 for bar in found.bars)
    assert all(bar.y + bar.height <= charts.CHART_HEIGHT for bar in found.bars)
    assert [line.text for line in found.lines] == ["0", "50", "100", "150"]
    assert sum(sum(numbers) for _, numbers in found.table) == sum(item.number for item in COUNTS)
    assert found.description.startswith("Stacked bars of 108 decisions. Peak: 100, from Sun 1 Mar, 12:00")
    assert [tick.text for tick in found.ticks] == ["16:00", "20:00", "00:00", "04:00", "08:00"]


def test_an_empty_time_is_drawn_too() -> None:
    found = charts.stacked_chart([], 48, NOW - DAY, NOW, AT)
    assert found.bars == () and found.description == "No decisions in this period."
    assert [tile.rate for tile in charts.outcome_tiles([], 30)] == ["0"] * 4


def test_totals_and_shares() -> None:
    assert charts.outcome_totals(COUNTS) == [
        ("send", 90, "83%"),
        ("defer", 10, "9%"),
        ("suppress", 7, "6%"),
        ("fail", 1, "under 1%"),
    ]
    assert charts.channel_totals(COUNTS) == [("email", (90, 0, 4, 1)), ("sms", (0, 10, 3, 0))]


def test_reasons_are_ranked_and_the_rest_is_counted() -> None:
    shares, others, count = charts.reason_shares(COUNTS, 2)
    assert [(share.code, share.number) for share in shares] == [("quiet_hours", 10), ("no_consent", 7)]
    assert (others, count) == (1, 1)
    assert shares[0].width > shares[1].width

from datetime import date, datetime
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import DAY, HOUR, MINUTE, SECOND, from_datetime, to_datetime
from services.orchestrator.policy.time_zones import Zone, calendar_period, country_zones, load_zone
from tests.support.policy_builders import at

NAMES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/St_Johns",
)


def known(name: str) -> Zone:
    found = load_zone(name)
    assert found is not None
    return found


def wall(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text + "+00:00"))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(NAMES), st.integers(at("2005-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z")))
def test_wall_times_are_those_of_the_tz_database(name: str, t: int) -> None:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        info = ZoneInfo.from_file(file)
    expected = to_datetime(t).astimezone(info).replace(tzinfo=None)
    assert to_datetime(known(name).wall_time(t)).replace(tzinfo=None) == expected


@pytest.mark.parametrize(
    ("name", "after", "until", "change"),
    [
        ("Europe/Berlin", "28 12:00", "29 12:00", "29 01:00"),
        ("Europe/Berlin", "29 01:00", "29 12:00", None),  # `after` is left out
        ("Europe/Berlin", "28 12:00", "29 01:00", "29 01:00"),  # `until` is not
        ("Europe/Berlin", "01 12:00", "20 12:00", None),
        ("Etc/UTC", "01 12:00", "31 12:00", None),
        ("America/St_Johns", "2010-03-13T12:00:00Z", "2010-03-14T12:00:00Z", "2010-03-14T03:31:00Z"),
    ],
)
def test_changes_are_found_to_the_second(name: str, after: str, until: str, change: str | None) -> None:
    assert known(name).next_clock_change(at(after), at(until)) == (None if change is None else at(change))


@pytest.mark.parametrize(
    ("name", "t", "reading", "first"),
    [
        ("Europe/Berlin", "28 12:00", "2026-03-29T02:30:00", "29 01:00"),  # skipped: the first instant after the gap
        ("Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),  # the first pass
        ("America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T00:00:00", "2018-11-04T03:00:00Z"),
        ("Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z"),  # a day that never was
        ("Etc/UTC", "01 00:00", "2026-03-29T02:30:00", "29 02:30"),
        ("Etc/UTC", "02 10:00", "2026-03-01T00:00:00", "02 10:00"),  # it reads later already
        ("America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T00:00:00", "2010-11-07T03:30:00Z"),  # midnight again
    ],
)
def test_reach_is_the_first_instant_that_reads_so_late(name: str, t: str, reading: str, first: str) -> None:
    assert known(name).first_at_wall_time(at(t), wall(reading)) == at(first)


def test_the_two_ends_of_the_calendar_have_an_offset() -> None:
    assert known("Asia/Tokyo").offset(at("0001-01-01T00:00:00Z")) != 0
    assert known("Asia/Tokyo").offset(at("9999-12-31T23:59:59Z")) == 9 * HOUR


@pytest.mark.parametrize(
    "name",
    [None, "", "Nowhere/Land", "../zone.tab", "../zoneinfo/Europe/Berlin", "Europe", "/etc/passwd", "zone.tab"],
)
def test_an_unknown_zone_is_none(name: str | None) -> None:
    assert load_zone(name) is None


def test_countries_have_the_zones_of_the_table() -> None:
    assert {each.name for each in country_zones("PT")} == {"Europe/Lisbon", "Atlantic/Madeira", "Atlantic/Azores"}
    assert country_zones("ZZ") == country_zones(None) == ()


@settings(deadline=None)
@given(st.dates(date(1990, 1, 1), date(2060, 12, 31)), st.sampled_from(["day", "week", "month"]), st.integers(0, 6))
def test_periods_hold_their_day_and_follow_on_each_other(day: date, unit: str, week_start: int) -> None:
    number = (day - date(1970, 1, 1)).days
    first, after = calendar_period(number, unit, week_start)
    assert first <= number < after
    assert calendar_period(after, unit, week_start)[0] == after
    assert calendar_period(first - 1, unit, week_start)[1] == first
    begins = date.fromordinal(first + date(1970, 1, 1).toordinal())
    assert {"day": True, "week": begins.weekday() == week_start, "month": begins.day == 1}[unit]


@pytest.mark.parametrize(
    ("day", "first", "after"),
    [
        ("2024-02-29", "2024-02-01", "2024-03-01"),
        ("2023-02-28", "2023-02-01", "2023-03-01"),
        ("2024-03-01", "2024-03-01", "2024-04-01"),
        ("2025-12-31", "2025-12-01", "2026-01-01"),
    ],
)
def test_months_are_as_long_as_in_their_year(day: str, first: str, after: str) -> None:
    found, *expected = ((date.fromisoformat(each) - date(1970, 1, 1)).days for each in (day, first, after))
    assert calendar_period(found, "month", 0) == tuple(expected)


def test_days_are_local() -> None:
    assert known("Asia/Kathmandu").local_day(at("02 18:15")) == at("03 00:00") // DAY
    assert known("Asia/Kathmandu").local_day(at("02 18:15") - 1) == at("02 00:00") // DAY
    assert known("Asia/Kathmandu").offset(0) == 5 * HOUR + 30 * MINUTE + 0 * SECOND


def test_what_is_remembered_of_a_zone_is_bounded() -> None:
    utc = Zone("Etc/UTC", ZoneInfo("Etc/UTC"))
    for slot in range(8192):
        utc.wall_time(slot * 6 * HOUR)
    assert len(utc._slots) == 8192
    assert utc.wall_time(8192 * 6 * HOUR) == 8192 * 6 * HOUR
    assert len(utc._slots) == 1

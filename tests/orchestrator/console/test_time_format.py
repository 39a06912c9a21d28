"""Instants on a wall clock: with the weekday, in the zone of the person, never relative."""

import pytest

from schemas.times import DAY, HOUR, parse_instant
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.time_zones import load_zone

BERLIN = load_zone("Europe/Berlin")
assert BERLIN is not None
NOW = parse_instant("2026-10-14T12:32:07Z")
AT = WallClock(BERLIN, NOW)


@pytest.mark.parametrize(
    ("instant", "brief", "moment", "full"),
    [
        ("2026-10-14T12:32:07Z", "14:32", "Wed 14 Oct, 14:32", "Wednesday 14 October, 14:32 (Europe/Berlin)"),
        ("2026-10-14T23:00:00Z", "Thu 01:00", "Thu 15 Oct, 01:00", "Thursday 15 October, 01:00 (Europe/Berlin)"),
        ("2026-11-08T14:20:00Z", "Sun 8 Nov, 15:20", "Sun 8 Nov, 15:20", "Sunday 8 November, 15:20 (Europe/Berlin)"),
        (
            "2027-01-01T08:00:00Z",
            "Fri 1 Jan 2027, 09:00",
            "Fri 1 Jan 2027, 09:00",
            "Friday 1 January 2027, 09:00 (Europe/Berlin)",
        ),
    ],
)
def test_times_are_absolute_and_carry_their_weekday(instant: str, brief: str, moment: str, full: str) -> None:
    t = parse_instant(instant)
    assert (AT.brief(t), AT.moment(t), AT.full(t)) == (brief, moment, full)


def test_today_has_seconds_and_another_day_its_date() -> None:
    assert AT.time(NOW) == "14:32:07"
    assert AT.time(NOW - DAY) == "Tue 13 Oct, 14:32"


def test_instants_in_a_sentence_become_moments_and_the_rest_is_escaped() -> None:
    shown = AT.format_instants("not before 2026-11-08T14:20:00Z: <b>the rule</b>")
    assert str(shown) == (
        'not before <time datetime="2026-11-08T14:20:00Z" title="Sun 8 Nov 2026, 14:20:00 UTC">Sun 8 Nov, 15:20</time>'
        ": &lt;b&gt;the rule&lt;/b&gt;"
    )


def test_an_instant_keeps_its_utc_in_the_title() -> None:
    assert AT.tag(NOW, "time") == (
        '<time datetime="2026-10-14T12:32:07Z" title="Wed 14 Oct 2026, 12:32:07 UTC">14:32:07</time>'
    )
    assert AT.owner == "the organisation"


def test_midnight_is_local_also_on_the_day_clocks_change() -> None:
    assert AT.midnight(parse_instant("2026-10-25T12:00:00Z")) == parse_instant("2026-10-24T22:00:00Z")
    assert AT.midnight(parse_instant("2026-10-26T12:00:00Z")) == parse_instant("2026-10-25T23:00:00Z")


def test_the_farthest_instants_can_be_shown() -> None:
    assert AT.moment(2**62).endswith("00:00") or AT.moment(2**62)
    assert AT.moment(-(2**62))
    assert AT.clock(NOW + HOUR) == "15:32"

"""Time formatting for people: on the wall clock of one zone, with weekday, never relative. Pure.

A page has one wall clock, and its frame names the zone: the customer's on pages about one customer, the organisation's
on all others.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from markupsafe import Markup

from schemas.times import DAY, Instant, parse_instant
from schemas.zones import find_zone_info
from services.orchestrator.console.markup import mark_code
from services.orchestrator.policy.time_zones import Zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_MAX_INSTANT = 250_000_000_000 * 1_000_000
_UTC_INFO = find_zone_info("Etc/UTC")
if _UTC_INFO is None:
    raise LookupError("the package tzdata lacks Etc/UTC")
UTC_CLOCK_ZONE = Zone("UTC", _UTC_INFO)
"""For pages that cannot know the organisation's zone."""
_TAG = Markup('<time datetime="{}" title="{}">{}</time>')

TimeForm = Literal["clock", "time", "day", "date", "moment", "brief", "full"]
"""The methods of `WallClock` that format an instant."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """A wall clock: its zone, the current instant, and whose zone it is. Methods format instants."""

    zone: Zone
    now: Instant
    owner: Literal["the organisation", "the customer"] = "the organisation"

    @property
    def name(self) -> str:
        """The zone's name in the tz database."""
        return self.zone.name

    def tag(self, t: Instant, form: TimeForm = "moment") -> Markup:
        """An instant as a `time` element; its title is the instant in UTC."""
        text = str(getattr(self, form)(t))
        return _TAG.format(_machine_time(t), _utc_title(t), text)

    def clock(self, t: Instant) -> str:
        """`08:00`."""
        return f"{self._wall_time(t):%H:%M}"

    def time(self, t: Instant) -> str:
        """`14:32:07`, with the day unless it is today."""
        wall = self._wall_time(t)
        return (
            f"{wall:%H:%M:%S}"
            if self.zone.local_day(t) == self.zone.local_day(self.now)
            else f"{self.day(t)}, {wall:%H:%M}"
        )

    def day(self, t: Instant) -> str:
        """`Fri 16 Oct`, with the year unless it is the current one."""
        wall = self._wall_time(t)
        return f"{wall:%a} {wall.day} {wall:%b}{self._year_suffix(wall)}"

    def date(self, t: Instant) -> str:
        """`16 Oct`."""
        wall = self._wall_time(t)
        return f"{wall.day} {wall:%b}"

    def moment(self, t: Instant) -> str:
        """`Fri 16 Oct, 08:00`."""
        return f"{self.day(t)}, {self.clock(t)}"

    def brief(self, t: Instant) -> str:
        """`08:00` today, `Fri 08:00` within six days, otherwise day and time."""
        days = self.zone.local_day(t) - self.zone.local_day(self.now)
        if days == 0:
            return self.clock(t)
        return f"{self._wall_time(t):%a} {self.clock(t)}" if abs(days) < 6 else self.moment(t)

    def full(self, t: Instant) -> str:
        """`Friday 16 October, 08:00 (Europe/Berlin)`: for sentences that are read and copied without their page."""
        wall = self._wall_time(t)
        return f"{wall:%A} {wall.day} {wall:%B}{self._year_suffix(wall)}, {wall:%H:%M} ({self.name})"

    def format_instants(self, text: str) -> Markup:
        """A sentence with its RFC 3339 instants formatted and its names in backticks as code; all else is escaped."""
        parts: list[str] = []
        last = 0
        for match in _INSTANT.finditer(text):
            parts += [mark_code(text[last : match.start()]), self.tag(parse_instant(match[0]))]
            last = match.end()
        return Markup("").join([*parts, mark_code(text[last:])])

    def midnight(self, t: Instant) -> Instant:
        """Returns the first instant of the local day of `t`."""
        return self.zone.first_at_wall_time(t - 2 * DAY, self.zone.local_day(t) * DAY)

    def _wall_time(self, t: Instant) -> datetime:
        return _EPOCH + timedelta(microseconds=self.zone.wall_time(_bounded(t)))

    def _year_suffix(self, wall: datetime) -> str:
        return "" if wall.year == self._wall_time(self.now).year else f" {wall.year}"


def _bounded(t: Instant) -> Instant:
    """The instant, or the nearest one that a calendar can show."""
    return min(max(t, -_MAX_INSTANT // 5), _MAX_INSTANT)


def _machine_time(t: Instant) -> str:
    return f"{_EPOCH + timedelta(microseconds=_bounded(t)):%Y-%m-%dT%H:%M:%SZ}"


def _utc_title(t: Instant) -> str:
    utc = _EPOCH + timedelta(microseconds=_bounded(t))
    return f"{utc:%a} {utc.day} {utc:%b %Y, %H:%M:%S} UTC"

"""The filter `date` prints the same on every host."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.template import RenderError, compile_template
from services.template.dates import format_date

OF_THE_STANDARD_LIBRARY = "aAbBcCdDeFfgGhHIjklmMnpPrRStTuUVwWxXyYzZ%"
"""What C's strftime knows by the same letter, in its C locale and in UTC."""


@given(
    st.datetimes(datetime.fromisoformat("1000-01-01"), datetime.fromisoformat("9999-12-31")),
    st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14))]),
    st.sampled_from(OF_THE_STANDARD_LIBRARY),
    st.sampled_from(["", "-", "_", "0", "^", "#"]),
)
def test_directives_mean_what_they_mean_in_strftime(when: datetime, zone: timezone, letter: str, flag: str) -> None:
    if letter in "fnt%cDFPRrTvXxZz" and flag:
        return  # the C library applies flags to these in ways of its own
    moment = when.replace(tzinfo=zone)
    pattern = f"%{flag}{letter}"
    assert format_date(moment.isoformat(), pattern) == moment.strftime(pattern)


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("2026-03-01T09:05:07Z", "%s", "1772355907"),
        ("2026-03-01T09:05:07+02:00", "%s %z", "1772348707 +0200"),
        (1772355907, "%s", "1772355907"),
        (1772355907.25, "%T.%L", "09:05:07.250"),
        ("1969-12-31T23:59:59.5Z", "%s", "-1"),
        ("2026-03-01T09:05:07Z", "%-d %B %Y um %-H:%M Uhr 🎉 ü", "1 March 2026 um 9:05 Uhr 🎉 ü"),
        ("2026-03-01T09:05:07Z", "%Q 100% %", "%Q 100% %"),
        ("2026-03-01", "%A", "Sunday"),
        ("0005-03-01", "%Y", "0005"),
    ],
)
def test_a_date_is_printed_by_its_own_zone(value: object, pattern: str, expected: str) -> None:
    assert format_date(value, pattern) == expected


@pytest.mark.parametrize("value", [1e300, -1e15, float("inf"), float("nan"), 10**30])
def test_a_number_that_is_no_time_is_a_render_error(value: float) -> None:
    with pytest.raises(RenderError):
        compile_template("{{ t | date: '%Y' }}", html=False).render({"t": value})


@pytest.mark.parametrize(
    "host",
    [
        {"TZ": "Pacific/Kiritimati", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"},
        {"TZ": "America/St_Johns", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_the_host_has_no_say(host: dict[str, str]) -> None:
    code = (
        "import locale; locale.setlocale(locale.LC_TIME, 'C');"
        "from services.template.dates import format_date;"
        "print(ascii(format_date('2026-03-01T09:05:07Z', '%s %Z %A %p \\u00fc')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | host, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == ascii("1772355907 UTC Sunday AM ü")

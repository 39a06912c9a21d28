"""Zones come from the pinned package, whatever files the host has."""

import os
import subprocess
import sys
import zoneinfo
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from schemas.policy import Policy
from schemas.zones import find_zone_info, is_zone, zone_names, zone_names_by_country
from services.orchestrator.policy.time_zones import load_zone

NO_ZONES = [
    "",
    "localtime",
    "Factory",
    "posixrules",
    "posix/Europe/Berlin",
    "right/Europe/Berlin",
    "zone.tab",
    "Europe",
]
NO_ZONES += ["../zoneinfo/Europe/Berlin", "/etc/localtime", "Europe/Berlin ", "UTC+2", "Nowhere/Land"]


@pytest.mark.parametrize("name", NO_ZONES)
def test_what_is_no_zone_of_the_tz_database_is_refused(name: str) -> None:
    assert not is_zone(name)
    assert find_zone_info(name) is None
    assert load_zone(name) is None
    with pytest.raises(ValueError, match="not a zone of the tz database"):
        Policy.model_validate({"zone": name})


def test_each_zone_can_be_read() -> None:
    assert {"Europe/Berlin", "US/Eastern", "Etc/UTC", "UTC", "America/Argentina/Buenos_Aires"} < zone_names()
    assert all(find_zone_info(name) is not None for name in zone_names())
    assert all(is_zone(name) for names in zone_names_by_country().values() for name in names)


def test_the_hosts_files_are_not_read(tmp_path: Path) -> None:
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    for name in ("Europe/Berlin", "Nearby/Island"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(tokyo)
    code = (
        "import datetime, zoneinfo; from schemas.zones import is_zone;"
        "from services.orchestrator.policy.time_zones import load_zone;"
        "host = zoneinfo.ZoneInfo('Europe/Berlin').utcoffset(datetime.datetime(2026, 1, 1));"
        "print(host, load_zone('Europe/Berlin').offset(0) // 3_600_000_000, is_zone('Nearby/Island'))"
    )
    environment = os.environ | {"PYTHONTZPATH": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["9:00:00", "1", "False"]


def test_the_zones_of_the_package_are_those_that_the_standard_library_finds_without_a_host() -> None:
    zoneinfo.reset_tzpath(to=())
    try:
        assert zoneinfo.available_timezones() - {"Factory"} == zone_names()
        assert ZoneInfo.no_cache("Asia/Kathmandu").key == "Asia/Kathmandu"
    finally:
        zoneinfo.reset_tzpath()

"""The table of what judging costs can be made; how large its numbers are is for people to look at."""

import pytest

from tests.bench import judging


def test_every_part_is_measured_and_the_profile_names_functions(capsys: pytest.CaptureFixture[str]) -> None:
    judging.main(rounds=1, calls=2)
    table, profile = capsys.readouterr().out.split("\n\n")
    names = [line.split("  ")[-1] for line in table.splitlines()]
    parts = [part.name for part in judging.Ground().parts()]
    assert names[: len(parts)] == parts
    assert [name.split(", ")[1] for name in names[len(parts) :]] == ["one after the other", "by turns"]
    assert all(float(line.split()[0]) > 0 for line in table.splitlines())
    assert len(profile.splitlines()) == 1 + judging.TOP

"""Keys of a lab: always the same for one directory, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.lab.lab_keys import LabKeys, LabSecretUnusable, load_or_create_keys


def test_a_directory_has_the_same_keys_again_and_shows_them_to_its_owner_alone(tmp_path: Path) -> None:
    first, again, other = (load_or_create_keys(tmp_path / name) for name in ("a", "a", "b"))
    assert first.derive_text("x") == again.derive_text("x") != other.derive_text("x")
    assert first.derive_text("x") != first.derive_text("y")
    assert first.derive_signer("x").private_numbers() == again.derive_signer("x").private_numbers()
    assert (tmp_path / "a" / "secret").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in (tmp_path / "a").iterdir()) == ["secret"]


def test_a_key_is_compared_whole() -> None:
    keys = LabKeys("a" * 32)
    right = keys.derive_text("x")
    assert keys.is_key("x", right)
    assert not any(keys.is_key("x", each) for each in ("", right[:-1], right + "a", "ä\ud800", keys.derive_text("y")))


def test_what_is_no_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short\n")
    with pytest.raises(LabSecretUnusable, match="no secret of a lab"):
        load_or_create_keys(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(LabSecretUnusable, match="another --data-dir"):
        load_or_create_keys(tmp_path / "file")

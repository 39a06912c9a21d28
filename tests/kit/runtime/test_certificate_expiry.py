"""The end of the certificates that a process shows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.kit.observability.metrics import Registry
from services.kit.runtime.certificate_expiry import own_certificates, publish_certificate_expiry, read_expiry
from tests.support.certificates import Authority
from tests.support.live_product import settings

DAY = 86_400


def test_the_gauge_shows_the_end_of_each_certificate_and_nothing_of_a_file_that_is_none(tmp_path: Path) -> None:
    authority, broken = Authority(tmp_path), tmp_path / "broken.pem"
    signed = authority.sign("server")
    broken.write_text("no certificate")
    registry = Registry()
    publish_certificate_expiry(registry, {"web": signed.certificate, "kafka": broken})
    name = "tactful_certificate_expiry_timestamp_seconds"
    ends = {use: registry.get_sample_value(name, {"use": use}) for use in ("web", "kafka")}
    assert ends["web"] == pytest.approx(time.time() + 2 * DAY, abs=300) and ends["kafka"] == 0
    list(registry.collect())
    assert registry.get_sample_value(name, {"use": "database"}) == 0


def test_of_a_chain_the_first_to_end_counts(tmp_path: Path) -> None:
    signed, later = Authority(tmp_path).sign("server"), Authority(tmp_path / "later")
    chain = tmp_path / "chain.pem"
    chain.write_text(signed.certificate.read_text() + later.file.read_text())
    assert read_expiry(chain) == read_expiry(signed.certificate)


def test_the_files_are_those_of_the_settings(tmp_path: Path) -> None:
    given = settings(
        database={"url": "postgresql+asyncpg://db/tactful?sslmode=verify-full&sslcert=/run/db.pem"},
        web={"certificate_file": tmp_path / "web.pem", "key_file": tmp_path / "web.key"},
    )
    assert own_certificates(given) == {"database": Path("/run/db.pem"), "web": tmp_path / "web.pem"}

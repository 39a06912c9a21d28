"""The scripts that make a deployment's secrets, database roles and pinned images, run as they are."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.deployment_settings import DeploymentSettings
from services.kit.db.migrate import is_up_to_date, upgrade_schema
from services.kit.runtime.settings import load_settings
from tests.support import servers

pytestmark = pytest.mark.wired
DEPLOY = servers.ROOT / "deploy"
NAMES = ("orchestrator", "preference", "suppression")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    subprocess.run([DEPLOY / "secrets.sh", made], check=True)
    return made


def test_each_service_has_its_own_role_and_all_share_what_they_must(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TACTFUL_")]:
        monkeypatch.delenv(name)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    urls, keys = set(), set()
    for name in NAMES:
        monkeypatch.setenv("TACTFUL_CONFIG", str(secrets / f"{name}.toml"))
        settings = load_settings(DeploymentSettings)
        url = settings.require("database.url")
        assert url.startswith(f"postgresql+asyncpg://{name}:") and url.endswith(f"@postgres/{name}")
        urls.add(url.partition(":")[2].partition(":")[2])
        keys.add((settings.require("admin_key"), settings.require("service_key"), settings.require("address_key")))
    assert len(urls) == 3 and len(keys) == 1 and len(set(keys.pop())) == 3


def test_what_is_there_stays(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([DEPLOY / "secrets.sh", secrets], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert len(before["grafana-password"]) == 64


def test_an_installation_from_before_the_dashboards_gets_a_password_for_grafana(secrets: Path) -> None:
    (secrets / "grafana-password").unlink()
    subprocess.run([DEPLOY / "secrets.sh", secrets], check=True, capture_output=True)
    assert len((secrets / "grafana-password").read_text()) == 64


@pytest.fixture
def server(secrets: Path, server_directory: Path) -> Iterator[servers.Postgres]:
    """A PostgreSQL on which databases.sh has run, and which asks for passwords."""
    with servers.postgres(server_directory / "postgres-roles") as running:
        variables = {
            **os.environ,
            "PATH": f"{running.binaries}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(running.port),
            "POSTGRES_USER": "tactful",
            "SECRETS": str(secrets / "database-roles.env"),
        }
        subprocess.run([DEPLOY / "postgres/databases.sh"], env=variables, check=True)
        hba = running.directory / "data/pg_hba.conf"
        hba.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        running.run("pg_ctl", "-D", str(running.directory / "data"), "reload")
        yield running


@pytest.mark.integration
async def test_a_role_owns_its_database_and_cannot_enter_another(server: servers.Postgres, secrets: Path) -> None:
    place = f"@127.0.0.1:{server.port}/"
    urls = {
        name: tomllib.loads((secrets / f"{name}.toml").read_text())["database"]["url"].replace("@postgres/", place)
        for name in NAMES
    }
    for name, url in urls.items():
        await upgrade_schema(url, f"services.{name}")
        assert await is_up_to_date(url, f"services.{name}")
        for other in {*NAMES, "postgres"} - {name}:
            elsewhere = url.replace("+asyncpg", "").rpartition("/")[0] + f"/{other}"
            if other == "postgres":
                connection = await asyncpg.connect(elsewhere)
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("CREATE TABLE theirs (a int)")
                await connection.close()
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(elsewhere)


DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_images_are_pinned_in_place_and_anew(tmp_path: Path) -> None:
    """With a stand-in for `docker`: no test here can reach a registry."""
    for name in ("Dockerfile", "compose.yml"):
        shutil.copy(DEPLOY / name, tmp_path)
    fake = tmp_path / "docker"
    for digest in (DIGEST, "sha256:" + "f" * 64):
        fake.write_text(f"#!/bin/sh\necho {digest}\n")
        fake.chmod(0o755)
        variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run([DEPLOY / "pin_images.sh", tmp_path], env=variables, check=True, capture_output=True)
        text = (tmp_path / "Dockerfile").read_text() + (tmp_path / "compose.yml").read_text()
        assert f"FROM python:3.11-slim@{digest} AS build\n" in text
        assert f"FROM python:3.11-slim@{digest}\n" in text
        assert f"    image: postgres:15@{digest}\n" in text
        assert text.count(digest) == len(re.findall(r"^(?:FROM|    image:) \S+:", text, re.MULTILINE)) >= 6
    fake.write_text("#!/bin/sh\necho nothing\n")
    refused = subprocess.run([DEPLOY / "pin_images.sh", tmp_path], env=variables, capture_output=True, text=True)
    assert refused.returncode == 1 and "the registry names no digest" in refused.stderr

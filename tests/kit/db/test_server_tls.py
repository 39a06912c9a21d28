"""TLS to a real PostgreSQL by the parameters of its URL: what connects, and what a refusal says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.kit.db.database import Database
from services.kit.db.migrate import is_up_to_date
from services.kit.db.refusal import explain_refusal
from services.kit.errors import DatabaseGone
from services.kit.runtime.settings import SettingsError
from tests.support import servers
from tests.support.certificates import Authority, Certificate

pytestmark = [pytest.mark.wired, pytest.mark.timeout(180)]
URL = "postgresql+asyncpg://me:canary@db.example/tactful"


@dataclass
class TlsServer:
    """A PostgreSQL that takes TLS alone, and as user `by_certificate` only who shows a certificate."""

    server: servers.Postgres
    authority: Authority
    client: Certificate
    url: str


@pytest.fixture(scope="module")
def tls(server_directory: Path) -> Iterator[TlsServer]:
    authority = Authority(server_directory / "postgres-certificates")
    made = authority.sign("db")
    owner = servers._unprivileged() if servers.postgres_binaries() else None
    for path in (made.certificate, made.key, authority.file):
        if owner is not None:
            shutil.chown(path, owner)
    made.key.chmod(0o600)
    authority.file.parent.chmod(0o755)
    files = f"-c ssl_cert_file={made.certificate} -c ssl_key_file={made.key} -c ssl_ca_file={authority.file}"
    settings = f"{servers.QUICK_SETTINGS} -c ssl=on {files}"
    with servers.postgres(server_directory / "postgres-tls", settings=settings) as server:
        url = server.database()
        (server.directory / "data/pg_hba.conf").write_text(
            "hostssl all by_certificate 127.0.0.1/32 trust clientcert=verify-ca\nhostssl all all 127.0.0.1/32 trust\n"
        )
        server.run("pg_ctl", "-D", str(server.directory / "data"), "reload")
        yield TlsServer(server, authority, authority.sign("client"), url)


async def refusal_of(url: str) -> str:
    """What the start of a service says of this database; "" if it can be used."""
    try:
        await is_up_to_date(url, "services.suppression")
    except Exception as error:
        return explain_refusal(error, url)
    return ""


async def is_encrypted(url: str) -> bool:
    """Whether transactions are; the probe, which has a connection of its own, must work alike."""
    database = Database.open(url, pool=1)
    try:
        await database.probe()
        async with database.read() as tx:
            row = await tx.row("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert row is not None
        return bool(row.ssl)
    finally:
        await database.close()


@pytest.mark.integration
async def test_an_authority_alone_has_certificate_and_name_checked(tls: TlsServer, tmp_path: Path) -> None:
    trusted, other = f"{tls.url}?sslrootcert={tls.authority.file}", Authority(tmp_path, "other").file
    assert await is_encrypted(trusted)
    assert await refusal_of(trusted) == ""
    said = await refusal_of(f"{tls.url}?sslrootcert={other}")
    assert f"certificate of the database at 127.0.0.1:{tls.server.port} is not trusted" in said
    assert "sslrootcert in TACTFUL_DATABASE__URL must name the authority that signed it" in said
    database = Database.open(f"{tls.url}?sslrootcert={other}", pool=1)
    with pytest.raises(DatabaseGone) as caught:  # what readiness and the log of a running process say
        await database.probe()
    await database.close()
    assert f"{tls.server.port}/test_1 is not trusted" in caught.value.detail and "sslrootcert" in caught.value.detail
    by_name = trusted.replace("127.0.0.1", "localhost")
    assert "is for another host" in await refusal_of(by_name)
    assert await is_encrypted(f"{by_name}&sslmode=verify-ca")
    assert "is not trusted" in await refusal_of(f"{tls.url}?sslmode=verify-full")  # by no public authority
    assert "is not trusted" in await refusal_of(f"{tls.url}?sslmode=require&sslrootcert={other}")


@pytest.mark.integration
async def test_without_an_authority_require_encrypts(tls: TlsServer) -> None:
    assert await is_encrypted(f"{tls.url}?sslmode=require")
    assert await is_encrypted(f"{tls.url}?ssl=require")
    assert "does not let tactful in (28000)" in await refusal_of(f"{tls.url}?sslmode=disable")


@pytest.mark.integration
async def test_a_client_shows_its_certificate(tls: TlsServer) -> None:
    database = Database.open(tls.url, pool=1)
    async with database.write() as tx:
        await tx.execute("CREATE ROLE by_certificate LOGIN SUPERUSER")
    await database.close()
    url = f"{tls.url}?sslrootcert={tls.authority.file}".replace("tactful@", "by_certificate@")
    assert "does not let by_certificate in (28000)" in await refusal_of(url)
    assert await is_encrypted(f"{url}&sslcert={tls.client.certificate}&sslkey={tls.client.key}")


@pytest.mark.integration
async def test_a_server_without_tls_is_told_apart(pg_url: str) -> None:
    assert "has no TLS: switch it on there, or correct sslmode" in await refusal_of(f"{pg_url}?sslmode=require")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("sslmode=prefer", "sslmode=prefer goes on without TLS where the server has none"),
        ("sslmode=full", "sslmode=full is unknown: write one of disable, require, verify-ca, verify-full"),
        ("sslmode=disable&sslrootcert=/ca.pem", "sslrootcert has no effect with sslmode=disable"),
        ("sslmode=require&sslkey=/key.pem", "sslkey needs sslcert"),
        ("sslcert=/c.pem", "sslcert and sslkey need an sslmode"),
        ("sslrootcert=/missing.pem", "(sslrootcert): /missing.pem cannot be read (No such file or directory)"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(parameters: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database.open(f"{URL}?{parameters}")
    said = str(caught.value)
    assert said.startswith("TACTFUL_DATABASE__URL") and words in said and "canary" not in said
    assert explain_refusal(caught.value, URL) == said

"""`python -m tests.support.required_servers`: prints which servers of the tests are not installed, and what is skipped.

`make test` runs it first. Kafka's jars, moto in an environment of its own, and the schemas of Kubernetes are fetched
here when only they are missing, because a test has no time for it.
With CI=true nothing may be skipped: the exit status is 1 if a server is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from tests.support import chromium, servers
from tests.support.helm_chart import helm_program
from tests.support.kubernetes_schemas import fetch_kubernetes_schemas


def missing() -> Iterator[tuple[str, str]]:
    """(What is missing and how it is installed, the tests that are skipped without it)."""
    if servers.postgres_binaries() is None:
        yield "PostgreSQL (Debian package postgresql)", "all tests on PostgreSQL, tests/integration and tests/faults"
    lacking = servers.kafka_lacks()
    if lacking is not None:
        yield lacking, "all tests on Kafka, tests/integration and tests/faults"
    if chromium.installed() is None:
        yield "Chromium (Debian package chromium)", "the tests of the console in a browser"
    for program in ("promtool", "prometheus"):
        if shutil.which(program) is None:
            yield f"{program} (Debian package prometheus)", "the tests of alerts and recording rules"


def fetch_moto() -> None:
    """Install moto, which plays AWS, beside the project: it needs other versions of what the product needs. Raises
    CalledProcessError.
    """
    if servers.moto_server() is None:
        print("Installing moto into .tools/moto, once.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", servers.MOTO], check=True)
        lock = servers.ROOT / "tests/support/moto.lock"
        subprocess.run([servers.MOTO / "bin/pip", "install", "--quiet", "--require-hashes", "-r", lock], check=True)


def fetch_kafka() -> None:
    """Fetch the broker's jars if Java and Maven are there and the jars are not. Raises CalledProcessError."""
    if servers.kafka_lacks() is None and not servers.has_kafka_jars():
        print("Fetching Kafka's jars into .tools/kafka/libs, once.", flush=True)
        subprocess.run([servers.ROOT / "deploy/kafka/run.sh", "--fetch-only"], check=True)


def main() -> int:
    """Print what is missing; 1 if something is and CI=true."""
    lacking = list(missing())
    fetch_kafka()
    fetch_moto()
    fetch_kubernetes_schemas()
    for what, skipped in lacking:
        print(f"Not installed: {what}. Skipped: {skipped}.")
    if helm_program() is None:
        print("Not installed, and not required: helm. Skipped: its rendering of the chart; golden files stand for it.")
    if not lacking:
        print("All servers that the tests use are installed: nothing is skipped for want of one.")
    return int(bool(lacking) and os.environ.get("CI") == "true")


if __name__ == "__main__":
    sys.exit(main())

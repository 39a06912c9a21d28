"""One running product for the tests of this folder; each uses customers and campaigns of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tactful.running import EXAMPLES, NOON, Running, product


@pytest.fixture(scope="session")
def tactful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`tactful dev` at noon on 2 March 2026 with the policy, campaigns and customers of examples/, all applied."""
    directory = tmp_path_factory.mktemp("tactful") / "data"
    with product(directory, "--clock", NOON) as running:
        _fill(running)
        yield running


def _fill(running: Running) -> None:
    policy = running.run("policy", "apply", EXAMPLES / "policy.yaml", "--activate")
    assert policy.code == 0, policy.err
    campaigns = running.run("campaigns", "apply", EXAMPLES / "campaigns", "--activate")
    assert campaigns.code == 0, campaigns.err
    for line in (EXAMPLES / "customers.jsonl").read_text("utf-8").splitlines():
        customer = json.loads(line)
        running.ask("PUT", f"/v1/preferences/{customer['customer']}", customer)


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """Settings under which nobody answers."""
    return {"TACTFUL_DATA_DIR": str(tmp_path), "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9"}

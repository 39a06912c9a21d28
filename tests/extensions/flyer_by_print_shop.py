"""The example channel and the example adapter at work; `test_example_delivery.py` runs this in a process of its own."""

from pathlib import Path
from typing import Any

import pytest

from schemas.generate import schemas as generate_schemas
from services.deployment_settings import SERVICE_SETTINGS, DeploymentSettings
from services.development.generated_files import generated_parts
from services.kit.runtime.settings import load_settings
from services.orchestrator.console.decision_words import CHANNELS
from tactful.doctor_checks import CheckState, check_adapter
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import live

FLYER: dict[str, Any] = {
    "channels": ["flyer"],
    "content": {"flyer": {"en": {"text": "Dear {{ customer.traits.name }}"}}},
}
ADDRESS = "Ada, 1 Example Street"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "flyers"
    folder.mkdir()
    monkeypatch.setenv("TACTFUL_PRINT_SHOP__FOLDER", str(folder))
    monkeypatch.setenv("TACTFUL_ADAPTERS__FLYER", "print_shop")
    return folder


@pytest.mark.wired
async def test_a_flyer_is_registered_rendered_and_handed_over(folder: Path, tmp_path: Path) -> None:
    consent = {**customer()["consent"][0], "channel": "flyer"}
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy())
        wrong = campaign(**{**FLYER, "content": {"flyer": {"en": {"words": "Dear"}}}})
        assert (await product.editor.put("/v1/campaigns/offer", json=wrong)).status_code == 422
        await product.campaign(campaign(**FLYER))
        addresses = [{"channel": "flyer", "address": f" {ADDRESS} ", "verified": True}]
        await product.customer(customer(addresses=addresses, consent=[consent]))
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        (message,) = (await product.ask("GET", "/v1/messages"))["items"]
        metrics = (await product.editor.get("/metrics")).text
    assert (message["channel"], message["status"], message["adapter"]) == ("flyer", "accepted", "print_shop")
    assert [path.read_text() for path in folder.iterdir()] == [f"{ADDRESS}\n\nDear Ada\n"]
    (attempts,) = [
        line
        for line in metrics.splitlines()
        if line.startswith("tactful_delivery_attempts_total{")
        and all(f'{label}"' in line for label in ('channel="flyer', 'adapter="print_shop', 'outcome="accepted'))
    ]
    assert attempts.endswith(" 1.0")


def test_its_settings_are_read_and_examined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(DeploymentSettings)
    assert check_adapter(settings, "flyer", "print_shop", False).state is CheckState.GREEN
    assert check_adapter(settings, "email", "print_shop", False).state is CheckState.RED
    monkeypatch.delenv("TACTFUL_PRINT_SHOP__FOLDER")
    assert check_adapter(load_settings(DeploymentSettings), "flyer", "print_shop", False).state is CheckState.RED
    monkeypatch.delenv("TACTFUL_ADAPTERS__FLYER")
    for settings_type in SERVICE_SETTINGS:
        loaded = load_settings(settings_type, deployment=SERVICE_SETTINGS)
        assert getattr(loaded, "adapters")["flyer"] == "sandbox"  # noqa: B009 - only in the combined type


def test_schemas_samples_and_words_follow() -> None:
    schemas = generate_schemas()
    assert "flyer" in schemas["campaign"]["$defs"]["Channel"]["enum"]
    assert "flyer" in schemas["campaign"]["properties"]["content"]["properties"]
    assert "flyer" in schemas["decision"]["properties"]["channel"]["enum"]
    sample, channels, adapters = (part.lines for part in generated_parts()[:3])
    assert "TACTFUL_ADAPTERS__FLYER=sandbox" in sample and "TACTFUL_PRINT_SHOP__FOLDER=" in sample
    assert any("`flyer`" in line for line in channels) and any("`print_shop`" in line for line in adapters)
    assert CHANNELS["flyer"] == ("Flyer", "mail")

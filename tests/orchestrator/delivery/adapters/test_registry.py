"""Which adapters are built from the settings, and what is refused before one of them is."""

from pathlib import Path

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.settings import SettingsError, load_settings
from services.orchestrator.delivery.adapters.registry import build_adapters
from services.orchestrator.settings import OrchestratorSettings

pytestmark = pytest.mark.wired

OF_MAILS = [
    id for id, declaration in ADAPTER_REGISTRY.declarations.items() if declaration.channels == frozenset({"email"})
]


def test_every_adapter_of_mails_alone_says_that_it_needs_a_sender() -> None:
    assert OF_MAILS
    assert [id for id, declaration in ADAPTER_REGISTRY.declarations.items() if declaration.sends_mail] == OF_MAILS


@pytest.mark.parametrize("senders", ["", '{"marketing": {"name": "Shop"}}'])
@pytest.mark.parametrize("id", OF_MAILS)
def test_without_a_sender_no_adapter_of_mails_is_built(id: str, senders: str, tmp_path: Path) -> None:
    settings = load_settings(OrchestratorSettings, adapters={"email": id}, mail={"senders": senders})
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    with pytest.raises(SettingsError, match="TACTFUL_MAIL__FROM_ADDRESS is not set"):
        build_adapters(settings, database, SystemClock())

"""Which adapters are built from the settings, and what is refused before one of them is."""

from pathlib import Path
from typing import Any

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.settings import SettingsError, load_settings
from services.orchestrator.delivery.adapters.registry import build_adapters
from services.orchestrator.delivery.routing import choose_adapter
from services.orchestrator.settings import OrchestratorSettings
from tests.support.webhook_receiver import message

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


CHATS: dict[str, Any] = {
    "slack": {"key": "xoxb-key-of-a-bot-0001"},
    "telegram": {"key": "123456789:AAF-token_of_a_bot_0123456789"},
}
ACCOUNTS = '{"acme": {"adapter": "slack", "key": "xoxb-key-of-a-bot-0002"}}'


async def test_each_adapter_that_addresses_name_gets_its_own_addresses_alone(tmp_path: Path) -> None:
    settings = load_settings(
        OrchestratorSettings, adapters={"chat": "slack, telegram, acme"}, accounts=ACCOUNTS, **CHATS
    )
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    adapters = build_adapters(settings, database, SystemClock())
    routes, shared = adapters.routes["chat"], {"slack": 1.0, "telegram": 1.0, "acme": 1.0}.__getitem__
    for down in ("", "slack", "acme"):
        for to, name in (("slack:C1", "slack"), ("telegram:5", "telegram"), ("acme:C1", "acme")):
            sent = message(to=to, channel="chat")
            chosen = choose_adapter(
                routes, sent, frozenset({"slack", "telegram", "acme"} - {down}).__contains__, shared
            )
            assert chosen == (name, name != down), "one of another workspace does not know the place"
    assert [each.weight for each in routes] == [1, 1, 1], "none stands by"
    for adapter in adapters.by_name.values():
        await adapter.close()


async def test_posts_have_no_address_so_all_adapters_of_their_channel_may_have_them(tmp_path: Path) -> None:
    chats: dict[str, Any] = {
        id: {**each, "posts": place} for (id, each), place in zip(CHATS.items(), ("C0POSTS1", "@posts"), strict=True)
    }
    settings = load_settings(OrchestratorSettings, adapters={"social": "slack, telegram"}, **chats)
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    adapters = build_adapters(settings, database, SystemClock())
    assert [each.addresses for each in adapters.routes["social"]] == [frozenset(), frozenset()]


@pytest.mark.parametrize("id", CHATS)
def test_without_a_place_for_posts_no_adapter_of_posts_is_built(id: str, tmp_path: Path) -> None:
    settings = load_settings(OrchestratorSettings, adapters={"social": id, "chat": id}, **CHATS)
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    with pytest.raises(SettingsError, match=f"TACTFUL_{id.upper()}__POSTS is not set"):
        build_adapters(settings, database, SystemClock())

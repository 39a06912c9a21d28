"""Which adapter serves which channel, as the settings say."""

from collections.abc import Mapping, Sequence

import msgspec
from pydantic import SecretStr, ValidationError

from schemas.message import Message
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.adapters.null import NullAdapter
from services.orchestrator.delivery.adapters.sandbox import SandboxAdapter
from services.orchestrator.delivery.adapters.webhook import WebhookAdapter, WebhookAdapterSettings
from services.orchestrator.settings import OrchestratorSettings

OFF = "off"
"""A channel whose adapter is `off` is not configured."""


def build_adapters(settings: OrchestratorSettings, database: Database, clock: Clock) -> Mapping[str, Adapter]:
    """The adapter of each channel that can send. Raises SettingsError for an unknown or unfinished one."""
    built: dict[str, Adapter] = {}
    by_channel: dict[str, Adapter] = {}
    for channel, name in settings.adapters.items():
        if name == OFF:
            continue
        if name not in built:
            built[name] = _build_adapter(name, settings, database, clock)
        if channel not in built[name].channels:
            raise SettingsError(f"the adapter `{name}` does not serve the channel `{channel}`")
        by_channel[channel] = built[name]
    return by_channel


def _build_adapter(name: str, settings: OrchestratorSettings, database: Database, clock: Clock) -> Adapter:
    match name:
        case "sandbox":
            return SandboxAdapter(_SandboxWriter(database))
        case "null":
            return NullAdapter()
        case "webhook":
            return WebhookAdapter(_webhook_settings(settings), clock)
        case _:
            raise SettingsError(f"there is no adapter `{name}`: use sandbox, webhook, null or off")


def _webhook_settings(settings: OrchestratorSettings) -> WebhookAdapterSettings:
    try:
        return WebhookAdapterSettings(
            url=settings.require("webhook.url"),
            secret=SecretStr(settings.require("webhook.secret")),
            allow_loopback_http=True,
            timeout=settings.dispatch.timeout,
        )
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"TACTFUL_WEBHOOK__*: {detail}") from None


class _SandboxWriter:
    """Stores what the sandbox would have sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, messages: Sequence[Message]) -> None:
        async with self._database.write() as tx:
            await tx.execute_many(
                "INSERT INTO sandbox_message (message_id, customer, campaign, channel, to_address, content, at) "
                "VALUES (:id, :customer, :campaign, :channel, :to, :content, :at) ON CONFLICT (message_id) DO NOTHING",
                [
                    {
                        "id": item.id,
                        "customer": item.customer,
                        "campaign": item.campaign,
                        "channel": item.channel,
                        "to": item.to,
                        "at": item.at,
                        "content": msgspec.json.encode(item.content),
                    }
                    for item in messages
                ],
            )

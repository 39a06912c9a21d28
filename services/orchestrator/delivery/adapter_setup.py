"""Which adapter serves which channel, as the settings say."""

from collections.abc import Mapping, Sequence

import msgspec
from pydantic import SecretStr, ValidationError

from schemas.message import Message
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings, SettingsError
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.adapters.null import Null
from services.orchestrator.delivery.adapters.sandbox import Sandbox
from services.orchestrator.delivery.adapters.webhook import Webhook, WebhookSettings

OFF = "off"
"""A channel whose adapter is `off` is not configured."""


def adapters_of(settings: ServiceSettings, database: Database, clock: Clock) -> Mapping[str, Adapter]:
    """The adapter of each channel that can send. Raises SettingsError for an unknown or unfinished one."""
    made: dict[str, Adapter] = {}
    serving: dict[str, Adapter] = {}
    for channel, name in settings.adapters.items():
        if name == OFF:
            continue
        if name not in made:
            made[name] = _make(name, settings, database, clock)
        if channel not in made[name].channels:
            raise SettingsError(f"the adapter `{name}` does not serve the channel `{channel}`")
        serving[channel] = made[name]
    return serving


def _make(name: str, settings: ServiceSettings, database: Database, clock: Clock) -> Adapter:
    match name:
        case "sandbox":
            return Sandbox(_Keeper(database))
        case "null":
            return Null()
        case "webhook":
            return Webhook(_webhook(settings), clock)
        case _:
            raise SettingsError(f"there is no adapter `{name}`: use sandbox, webhook, null or off")


def _webhook(settings: ServiceSettings) -> WebhookSettings:
    try:
        return WebhookSettings(
            url=settings.need("webhook.url"),
            secret=SecretStr(settings.need("webhook.secret")),
            allow_loopback_http=True,
            timeout=settings.dispatch.timeout,
        )
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"TACTFUL_WEBHOOK__*: {detail}") from None


class _Keeper:
    """Stores what the sandbox would have sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, messages: Sequence[Message]) -> None:
        async with self._database.write() as tx:
            await tx.run_many(
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

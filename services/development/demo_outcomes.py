"""What becomes of the demo's messages: the provider lab plays the customers' side of the sandbox.

It looks for new messages in the sandbox, draws what becomes of each, and posts signed receipts and replies, as a
provider does: so bounces, complaints and STOP have their effects in the demo as well.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

import httpx

from schemas.times import SECOND, parse_instant
from services.development.all_services import EmbeddedTactful
from services.development.dev_settings import sandbox_secret
from services.kit.http.paging import encode_cursor
from services.kit.observability.logs import log_error
from services.lab.lab_provider import Submission
from services.lab.lab_script import LabScript, ReceiptRule, ScriptPlayer
from services.lab.provider_registry import load_providers
from services.lab.receipt_sender import ReceiptSender

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for new messages."""
RECEIPTS: Final = ReceiptRule(delay=2.0, interval=4.0)
FORM: Final = "webhook"
"""The provider of the lab whose form of receipts the sandbox takes: Tactful's own."""
SHARES: Final[Mapping[str, Mapping[str, float]]] = {
    "email": {"open": 0.35, "click": 0.15, "bounce": 0.02, "softbounce": 0.03, "complain": 0.01, "silent": 0.05},
    "sms": {"reply": 0.06, "stop": 0.02, "bounce": 0.02, "silent": 0.05},
    "push": {"open": 0.25, "fail": 0.03, "silent": 0.3},
}
"""Channel -> shares of its messages by what becomes of them (`FATES` of the lab). The rest is delivered."""


def takes_receipts(embedded: EmbeddedTactful) -> bool:
    """Whether the sandbox takes what the lab signs. Who has set another secret plays the customers."""
    secret = embedded.settings.settings_of("sandbox").secret
    return secret is not None and secret.get_secret_value() == sandbox_secret(embedded.lab_keys)


class DemoOutcomes:
    """Tells of the messages that arrive in the sandbox while `run` runs. `always_delivered`: customers whose messages
    all arrive, so that what people try with them is the same each time.
    """

    def __init__(self, embedded: EmbeddedTactful, client: httpx.AsyncClient, always_delivered: Collection[str]) -> None:
        self._embedded, self._client = embedded, client
        self._always_delivered = frozenset(always_delivered)
        self._players = {channel: ScriptPlayer(LabScript(fates=shares)) for channel, shares in SHARES.items()}
        self._usual = ScriptPlayer(LabScript())

    async def run(self) -> None:
        """Until cancelled."""
        sender = ReceiptSender(self._embedded.address, self._embedded.lab_keys, self._embedded.clock)
        position = encode_cursor((self._embedded.clock.now() - 10 * SECOND, ""))
        try:
            while True:
                try:
                    position = await self._tell_of_new_messages(sender, position)
                except httpx.HTTPError as error:
                    log_error("demo_outcomes_refused", error)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await sender.close()

    async def _tell_of_new_messages(self, sender: ReceiptSender, position: str) -> str:
        """Returns the position behind the last message that was seen."""
        headers = {"authorization": f"Bearer {self._embedded.keys['admin']}"}
        while True:
            parameters = {"after": position, "limit": "200"}
            answer = await self._client.get("/v1/sandbox/messages", params=parameters, headers=headers)
            answer.raise_for_status()
            page = answer.json()
            for message in page["items"]:
                self._tell_of(sender, message)
            if page["items"]:
                last = page["items"][-1]
                position = encode_cursor((parse_instant(last["at"]), last["message_id"]))
            if page["next"] is None:
                return position

    def _tell_of(self, sender: ReceiptSender, message: Mapping[str, Any]) -> None:
        id, to, channel = message["message_id"], message["to"], message["channel"]
        usual = message["customer"] in self._always_delivered
        player = self._usual if usual else self._players.get(channel, self._usual)
        submission = Submission(id, to, channel=channel)
        sender.plan("sandbox", load_providers()[FORM], submission, id, player.tell_fate(id, to), RECEIPTS)

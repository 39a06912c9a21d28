"""One file for each flyer, named by the message id: one that is written again replaces itself."""

from collections.abc import Sequence
from pathlib import Path

from schemas.message import HandoverResult, Message
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.deadline import PastDeadline


class PrintShopAdapter:
    """Writes flyers into a folder."""

    name = "print_shop"
    idempotent = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """`retry` for what cannot be written now."""
        return [self._send(message, first_byte) for message in messages]

    async def close(self) -> None:
        """There is nothing to close."""

    def _send(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        try:
            first_byte.before(message.id)
        except PastDeadline:
            return past_deadline_result(message.id)
        try:
            (self._folder / f"{message.id}.txt").write_text(f"{message.to}\n\n{message.content['text']}\n", "utf-8")
        except (KeyError, UnicodeError):
            return HandoverResult(message.id, "rejected", detail="unprintable", fault="content")
        except OSError as error:
            return HandoverResult(message.id, "retry", detail=type(error).__name__)
        finally:
            first_byte.after(message.id)
        return HandoverResult(message.id, "accepted", provider_id=message.id)


def create_adapter(context: AdapterContext) -> PrintShopAdapter:
    """The adapter for the declared settings. Raises SettingsError without a folder."""
    if context.settings.folder is None:
        raise SettingsError("TACTFUL_PRINT_SHOP__FOLDER is not set, and this process needs it")
    return PrintShopAdapter(context.settings.folder)

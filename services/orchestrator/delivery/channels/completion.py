"""What a channel adds to rendered content by its settings, such as the words that a country wants in advertising."""

from typing import Final

from schemas.channel_registry import CHANNEL_REGISTRY
from services.orchestrator.settings import OrchestratorSettings


class ContentCompleter:
    """Completes content by the settings of the channels; without settings it adds nothing."""

    def __init__(self, settings: OrchestratorSettings | None) -> None:
        self._settings = settings
        self._functions: Final = {
            id: CHANNEL_REGISTRY.load_module(id, "completion").complete_content
            for id, declaration in CHANNEL_REGISTRY.declarations.items()
            if declaration.completes_content
        }

    def complete(self, channel: str, content: dict[str, str], cls: str, to: str | None) -> dict[str, str]:
        """The content as it is sent to an address; without one, to somebody in the organisation's country. Raises
        RenderError where it does not fit any more.
        """
        function = self._functions.get(channel)
        if function is None or self._settings is None:
            return content
        completed: dict[str, str] = function(getattr(self._settings, channel), content, cls, to, self._settings.region)
        return completed


NOTHING_TO_ADD: Final = ContentCompleter(None)
"""Leaves content as it is."""

"""Gives messages links and a picture of our own, where the settings say so: how, each channel says by itself.

A channel that can declares `tracks_links`, and has a module `tracking` with the function
`track_links(content, cls, links)`, which returns the content with its links replaced.
"""

from typing import Final, Protocol

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.times import DAY, Instant
from services.orchestrator.delivery.links.sealed_links import MAX_TARGET, LinkSealer, SealedLink
from services.orchestrator.link_settings import LinkSettings


class MessageLinks:
    """The links of one message."""

    def __init__(
        self, sealer: LinkSealer, base: str, message_id: str, cls: str, last_day: int, kept: tuple[str, ...]
    ) -> None:
        """`kept`: what those links begin with that stay as they are."""
        self._sealer, self._base, self._message_id, self._cls = sealer, base, message_id, cls
        self._last_day, self._kept = last_day, kept
        self._number = 0

    def replace(self, target: str) -> str | None:
        """A link of our own that leads there; None for a target whose link stays as it is. `target`: an address of
        https in ASCII, complete.
        """
        if len(target) > MAX_TARGET or target.startswith(self._kept):
            return None
        self._number += 1
        link = SealedLink(self._message_id, self._last_day, self._number, target)
        return f"{self._base}/l/{self._sealer.seal('l', self._cls, link)}"

    @property
    def picture(self) -> str:
        """The address of the picture that shows that the message was opened."""
        token = self._sealer.seal("o", self._cls, SealedLink(self._message_id, self._last_day))
        return f"{self._base}/o/{token}"


class TracksLinks(Protocol):
    """What gives a message its links."""

    def track(self, channel: str, content: dict[str, str], cls: str, message_id: str, now: Instant) -> dict[str, str]:
        """The content as it is sent."""


class LinkTracker:
    """Replaces the links of messages by the settings."""

    def __init__(self, settings: LinkSettings, kept: tuple[str, ...]) -> None:
        """`kept`: what those links begin with that are never replaced, as those by which customers unsubscribe."""
        self._settings = settings
        self._classes = settings.tracked_classes
        self._kept = (*kept, f"{settings.base_url}/")
        self._sealer = None if settings.base_url is None else LinkSealer(settings.keys)
        self._functions: Final = {
            id: CHANNEL_REGISTRY.load_module(id, "tracking").track_links
            for id, declaration in CHANNEL_REGISTRY.declarations.items()
            if declaration.tracks_links
        }

    def track(self, channel: str, content: dict[str, str], cls: str, message_id: str, now: Instant) -> dict[str, str]:
        """The content as it is sent. The same message gets the same links on the same day."""
        function = self._functions.get(channel)
        if function is None or self._sealer is None or cls not in self._classes:
            return content
        last_day = now // DAY + self._settings.days
        base = self._settings.base_url or ""
        links = MessageLinks(self._sealer, base, message_id, cls, last_day, self._kept)
        tracked: dict[str, str] = function(content, cls, links)
        return tracked


class _OwnLinks:
    def track(self, channel: str, content: dict[str, str], cls: str, message_id: str, now: Instant) -> dict[str, str]:
        return content


NO_TRACKING: Final[TracksLinks] = _OwnLinks()
"""Leaves every link as it is."""

"""Lint of free text on channels where it may only follow a message of the customer."""

from collections.abc import Callable, Container, Iterator

import schemas.campaign
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.finding import Finding, warning
from schemas.text import escape_pointer
from schemas.words import channel_words
from services.orchestrator.campaigns.lint.fallback_lint import FindProblems


def with_windows(check: FindProblems, shared: Container[str]) -> Callable[..., list[Finding]]:
    """The check with warnings about free text that mostly goes to another adapter than the customer's message did.
    `shared`: the channels with a reply window that several adapters serve.
    """

    def find_with_windows(document: schemas.campaign.Campaign) -> list[Finding]:
        return [*check(document), *_free_texts(document, shared)]

    return find_with_windows


def _free_texts(document: schemas.campaign.Campaign, shared: Container[str]) -> Iterator[Finding]:
    for channel, locales in document.content.items():
        declaration = CHANNEL_REGISTRY.declarations.get(channel)
        if channel not in shared or declaration is None or declaration.reply_window is None:
            continue
        for locale, fields in locales.items():
            if declaration.reply_window.free_without not in fields:
                yield warning(
                    f"/content/{escape_pointer(channel)}/{escape_pointer(locale)}",
                    "window_of_another_adapter",
                    f"several adapters serve {channel_words(channel)}, and free text may only follow a message of the "
                    "customer to the one that it goes to: the others refuse it (`outside_reply_window`)",
                    f"{declaration.reply_window.remedy.capitalize()}, or give one adapter of the channel a weight and "
                    "the others 0.",
                )

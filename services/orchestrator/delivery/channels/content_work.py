"""Checks and previews of content, done in a worker: what people write may take long, or end the process that looks."""

import atexit
from collections.abc import Mapping
from typing import Any, Final

from schemas.campaign import Campaign
from schemas.extension_packages import add_packages, added_packages
from schemas.finding import Finding
from services.kit.runtime.worker_process import Work, WorkerPool, WorkRefused
from services.orchestrator.delivery.channels import content
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.template import RenderError


def _add_extensions() -> Work:
    return add_packages, added_packages(), {}


CONTENT_WORKERS: Final = WorkerPool(first=_add_extensions)
"""The workers of this process. They know the extensions that were added to it."""
atexit.register(CONTENT_WORKERS.close)


def check_content(document: Campaign) -> list[Finding]:
    """All findings about a campaign's content: see `content.check_content`. Content that takes too much is an error.

    Blocks its thread for up to some seconds.
    """
    try:
        return CONTENT_WORKERS.call(content.check_content, document)
    except WorkRefused as error:
        return [Finding("/content", "too_much_work", f"the content cannot be checked: {error.detail}")]


def render_all(document: Campaign, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content in all locales on all channels, for one customer. Blocks its thread. Raises WorkRefused."""
    return CONTENT_WORKERS.call(_render_all, document, context)


def _render_all(document: Campaign, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    compiled = content.compile_content(document)
    items = []
    for channel, locales in document.content.items():
        for locale in locales:
            item: dict[str, Any] = {"channel": channel, "locale": locale, "content": None, "facts": {}, "error": None}
            try:
                fields = compiled.render(channel, locale, context).fields
                item |= {"content": dict(fields), "facts": CHANNELS_BY_ID[channel].measure(fields)}
            except RenderError as error:
                item["error"] = error.to_finding().as_document()
            items.append(item)
    return items

"""Adds to advertising the words by which a country wants it to say how to stop it."""

from collections.abc import Mapping
from typing import Final

from schemas.address_kinds import find_country
from schemas.vocabulary import Class
from services.orchestrator.delivery.channels.sms.channel import check_parts
from services.orchestrator.delivery.channels.sms.declaration import SmsSettings
from services.orchestrator.delivery.channels.sms.opt_out_texts import holds_opt_out, parse_opt_out_texts
from services.orchestrator.delivery.channels.sms.prices import OTHER_COUNTRIES

SEPARATOR: Final = "\n"
"""One character of the GSM alphabet."""


def complete_content(
    settings: SmsSettings, content: Mapping[str, str], cls: str, to: str | None, region: str | None
) -> dict[str, str]:
    """See ContentCompleter. A text that says it already stays as it is."""
    text = content.get("text", "")
    table = parse_opt_out_texts(settings.opt_out_texts)
    country = find_country(to) if to else region
    words = table.get(country or OTHER_COUNTRIES, table.get(OTHER_COUNTRIES))
    if cls != Class.MARKETING or words is None or holds_opt_out(text, words):
        return dict(content)
    completed = f"{text.rstrip()}{SEPARATOR}{words}"
    check_parts(completed, len(text))
    return {**content, "text": completed}

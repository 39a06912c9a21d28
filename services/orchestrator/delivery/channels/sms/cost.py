"""What an SMS costs: its parts, at the price of the country of its number."""

from collections.abc import Mapping

from schemas.address_kinds import find_country
from services.orchestrator.delivery.channels.costs import MessageCost
from services.orchestrator.delivery.channels.sms.declaration import SmsSettings
from services.orchestrator.delivery.channels.sms.parts import count_in_words, split_sms
from services.orchestrator.delivery.channels.sms.prices import OTHER_COUNTRIES, parse_prices


def estimate_cost(
    settings: SmsSettings, content: Mapping[str, str], to: str | None, region: str | None
) -> MessageCost | None:
    """See CostEstimator. The estimate is of what the table says; providers add fees of networks, and round."""
    if not settings.prices:
        return None
    table = parse_prices(settings.prices)
    country = find_country(to) if to else region
    price = table.per_part.get(country or OTHER_COUNTRIES, table.per_part.get(OTHER_COUNTRIES))
    if price is None:
        return None
    count = len(split_sms(content.get("text", "")).texts)
    return MessageCost(price * count, table.currency, f"{count_in_words(count)} to {country or 'other countries'}")

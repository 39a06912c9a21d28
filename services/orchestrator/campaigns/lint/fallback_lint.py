"""Lint of the strategy `fallback`: whether one channel can follow the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import schemas.campaign
from schemas.finding import Finding, warning
from schemas.times import format_duration
from schemas.vocabulary import Strategy
from schemas.words import channel_words

FindProblems = Callable[[schemas.campaign.Campaign], Iterable[Finding]]


def fallback_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    """Yields what keeps the next channel from ever being tried."""
    if document.strategy is not Strategy.FALLBACK:
        return
    if document.fallback_after is None:  # only in versions that were saved before it was required
        detail = "without `fallback_after` the strategy `fallback` acts as `first`: no other channel follows"
        yield warning("/strategy", "no_fallback_after", detail, "Set `fallback_after`, such as `30m`, or use `first`.")
    elif document.fallback_after >= document.ttl:
        yield warning(
            "/fallback_after",
            "expires_before_fallback",
            f"the message expires {format_duration(document.ttl)} after its event, but the next channel has its turn "
            f"{format_duration(document.fallback_after)} after the handover: it is sent only after a certain failure",
            "Raise `ttl`, or shorten `fallback_after`.",
        )
    if len(document.channels) == 1:
        detail = "there is no other channel to fall back to"
        yield warning("/channels", "nothing_to_fall_back_to", detail, "Name another channel, or use `first`.")


def with_confirmations(check: FindProblems, silent_adapters: Mapping[str, str]) -> Callable[..., list[Finding]]:
    """The check with warnings about channels of campaigns that fall back on which a delivery is never confirmed.

    `silent_adapters`: of channels that have an adapter without receipts, its name.
    """

    def find(document: schemas.campaign.Campaign) -> list[Finding]:
        return [*check(document), *_unconfirmed_channels(document, silent_adapters)]

    return find


def _unconfirmed_channels(document: schemas.campaign.Campaign, silent_adapters: Mapping[str, str]) -> Iterator[Finding]:
    for index, channel in enumerate(document.channels if document.strategy is Strategy.FALLBACK else ()):
        adapter = silent_adapters.get(channel.value)
        if adapter is not None:
            yield warning(
                f"/channels/{index}",
                "confirmed_when_accepted",
                f"the adapter `{adapter}` of {channel_words(channel)} gives no receipts: a message counts as confirmed "
                "when it is accepted, and no other channel follows then",
                "Put the channel last, or use an adapter whose receipts are set up (`tactful doctor` tells).",
            )

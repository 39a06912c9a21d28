"""Lint of double opt-in: the campaign that asks customers to confirm a consent, and the topics that need one."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import schemas.campaign
import schemas.policy
from schemas.finding import Finding, warning
from schemas.own_events import CONSENT_REQUESTED
from schemas.text import escape_pointer
from schemas.vocabulary import Class

_READS_LINK: Final = re.compile(r"\blinks\s*\.\s*confirm_consent\b")
_LINK: Final = "`{{ links.confirm_consent }}`"


def confirmation_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    """Finds campaigns on the event that could not ask, and others that read a link which they do not have."""
    answers = document.trigger.event == CONSENT_REQUESTED
    if answers and document.class_ is not Class.TRANSACTIONAL:
        yield warning(
            "/class",
            "confirmation_not_transactional",
            f"this asks for a consent that is not given yet; as `{document.class_}` opt-outs and caps may stop it",
            "Set `class: transactional`.",
        )
    for channel, locales in document.content.items():
        for locale, fields in locales.items():
            pointer = f"/content/{escape_pointer(channel)}/{escape_pointer(locale)}"
            reads = any(_READS_LINK.search(source) for source in fields.values())
            if answers and not reads:
                yield warning(
                    pointer,
                    "no_confirmation_link",
                    f"without {_LINK} the customer cannot confirm the consent that the event asks for",
                    f"Add {_LINK}.",
                )
            elif reads and not answers:
                yield warning(
                    pointer,
                    "no_consent_request",
                    f"{_LINK} is only in messages on `{CONSENT_REQUESTED}`; these will fail",
                    "Remove it, or change the trigger.",
                )


def unanswered_findings(
    document: schemas.policy.Policy, active: Iterable[schemas.campaign.Campaign]
) -> Iterator[Finding]:
    """Finds topics with double opt-in on a channel on which no active campaign asks customers to confirm."""
    answered = {
        channel
        for campaign in active
        if campaign.trigger.event == CONSENT_REQUESTED and campaign.class_ is Class.TRANSACTIONAL
        for channel in campaign.channels
    }
    for index, topic in enumerate(document.topics):
        for place, channel in enumerate(topic.double_opt_in):
            if channel not in answered:
                yield warning(
                    f"/topics/{index}/double_opt_in/{place}",
                    "nobody_asks_to_confirm",
                    f"no active transactional campaign on `{channel}` is triggered by `{CONSENT_REQUESTED}`: nobody is "
                    f"asked to confirm, so no consent to `{topic.key}` comes into force there",
                    f"Activate one, with {_LINK} in its content.",
                )

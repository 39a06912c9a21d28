"""Lint of campaigns that ask customers to confirm a consent (double opt-in), or that an address is theirs."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import schemas.campaign
import schemas.policy
from schemas.finding import Finding, warning
from schemas.own_events import ADDRESS_VERIFICATION_REQUESTED, CONSENT_REQUESTED
from schemas.text import escape_pointer
from schemas.vocabulary import Class


class _Question(NamedTuple):
    """What an event asks: what a message on it must hold, and the codes and words of the findings."""

    event: str
    reads: re.Pattern[str]
    link: str
    subject: str
    no_link: str
    no_request: str
    not_transactional: str


_LINK: Final = "`{{ links.confirm_consent }}`"
_QUESTIONS: Final = (
    _Question(
        CONSENT_REQUESTED,
        re.compile(r"\blinks\s*\.\s*confirm_consent\b"),
        _LINK,
        "confirm the consent that the event asks for",
        "no_confirmation_link",
        "no_consent_request",
        "this asks for a consent that is not given yet; as `{cls}` opt-outs and caps may stop it",
    ),
    _Question(
        ADDRESS_VERIFICATION_REQUESTED,
        re.compile(r"\blinks\s*\.\s*(verify_address|verification_code)\b"),
        "`{{ links.verify_address }}` or `{{ links.verification_code }}`",
        "verify the address that the event asks about",
        "no_verification_link",
        "no_verification_request",
        "this goes to an address that is not verified yet; as `{cls}` opt-outs and caps may stop it",
    ),
)


def confirmation_findings(document: schemas.campaign.Campaign) -> Iterator[Finding]:
    """Finds campaigns on these events that could not ask, and others that read links which they do not have."""
    for question in _QUESTIONS:
        yield from _findings_about(document, question)


def _findings_about(document: schemas.campaign.Campaign, question: _Question) -> Iterator[Finding]:
    answers = document.trigger.event == question.event
    if answers and document.class_ is not Class.TRANSACTIONAL:
        yield warning(
            "/class",
            "confirmation_not_transactional",
            question.not_transactional.format(cls=document.class_),
            "Set `class: transactional`.",
        )
    for channel, locales in document.content.items():
        for locale, fields in locales.items():
            pointer = f"/content/{escape_pointer(channel)}/{escape_pointer(locale)}"
            reads = any(question.reads.search(source) for source in fields.values())
            if answers and not reads:
                yield warning(
                    pointer,
                    question.no_link,
                    f"without {question.link} the customer cannot {question.subject}",
                    f"Add {question.link}.",
                )
            elif reads and not answers:
                yield warning(
                    pointer,
                    question.no_request,
                    f"{question.link} is only in messages on `{question.event}`; these will fail",
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

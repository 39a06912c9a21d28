"""What the answer to an accepted event says beside its status: a type that nothing names, conditions that the event
does not meet, and parts of the data that have no effect.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from schemas.addresses import find_unusable
from schemas.condition_words import describe_condition_failure
from schemas.customer import Customer
from schemas.documents import did_you_mean
from schemas.event import Event, parse_data
from schemas.own_events import OWN_EVENT_TYPES, CheckedData, is_own
from schemas.text import escape_pointer
from schemas.vocabulary import Class
from services.condition import ConditionError
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.match import Catalogue, condition_variables

MAX_NEAREST: Final = 3
MAX_SUGGESTIONS: Final = 3
"""Unknown topics of one event for which a similar one is looked for, which takes 2 ms."""
MAX_IGNORED: Final = 20
"""So many fields without effect are named: an event can have tens of thousands."""
MAX_COMPARED: Final = 5
"""Of so many types of one request the nearest ones are found: that takes 25 ms a type beside 200 known ones."""
MAX_CONDITIONS: Final = 10
"""So many campaigns of one type are looked at: a request may hold a thousand events."""
_READS_CUSTOMER: Final = re.compile(r"\bcustomer\b")

Note = dict[str, Any]


def note_types(event_types: Iterable[str], catalogue: Catalogue) -> dict[str, list[Note]]:
    """By type: a note if no active campaign and no situation names it, with the nearest ones; else nothing."""
    known = {*catalogue.by_event, *_situation_types(catalogue), *OWN_EVENT_TYPES}
    notes: dict[str, list[Note]] = {}
    compared = 0
    for event_type in dict.fromkeys(event_types):
        notes[event_type] = []
        if event_type not in known and not catalogue.is_triggered_by(event_type):
            nearest = _nearest(event_type, known) if compared < MAX_COMPARED else []
            notes[event_type].append(_note_unnamed(event_type, nearest))
            compared += 1
    return notes


def _note_unnamed(event_type: str, nearest: list[str]) -> Note:
    detail = f"no active campaign is triggered by `{event_type}`, and no situation of the policy names it"
    if nearest:
        detail += f"; the nearest types are {', '.join(f'`{name}`' for name in nearest)}"
    return {"pointer": "/type", "code": "nothing_listens", "detail": detail, "nearest": nearest}


def note_triggers(event: Event, catalogue: Catalogue) -> list[Note]:
    """A note for each campaign of the type that the event does not trigger, if none is triggered and no situation names
    the type, so that nothing comes of the event. Nothing where a condition reads the customer, who is not known here.
    """
    campaigns = catalogue.by_event.get(event.type, ())
    is_own_or_situation = is_own(event.type) or event.type in _situation_types(catalogue)
    if is_own_or_situation or not 0 < len(campaigns) <= MAX_CONDITIONS:
        return []
    if any(_READS_CUSTOMER.search(campaign.document.trigger.when or "") for campaign in campaigns):
        return []
    variables = condition_variables(event, parse_data(event), {})
    if any(_triggers(campaign, variables) for campaign in campaigns):
        return []
    return [
        _note("/data", "not_triggered", f"`{campaign.key}`: {describe_untriggered(campaign, variables)}")
        for campaign in campaigns
    ]


def _triggers(campaign: CompiledCampaign, variables: Mapping[str, Any]) -> bool:
    """Whether there will be decisions. A condition that cannot be evaluated leads to some, with the outcome `fail`."""
    try:
        return campaign.trigger_condition is None or campaign.trigger_condition(variables)
    except ConditionError:
        return True


def describe_untriggered(campaign: CompiledCampaign, variables: Mapping[str, Any]) -> str:
    """Why a campaign is not triggered by an event of its type, in words."""
    condition, text = campaign.trigger_condition, campaign.document.trigger.when
    if condition is None:
        return "the campaign was not active when the event came"
    try:
        if condition(variables):
            return f"the condition of its trigger is true now; it was not, or the campaign was not active then: {text}"
    except ConditionError as error:
        failure = describe_condition_failure(error.evidence()) or "cannot be evaluated"
        return f"the condition of its trigger {failure}: {text}"
    missing = condition.missing_variable(variables)
    because = f", because `{missing}` has no value" if missing else ""
    return f"the condition of its trigger is false{because}: {text}"


def _situation_types(catalogue: Catalogue) -> set[str]:
    """The event types that open or close a situation."""
    situations = catalogue.policy.document.situations
    return {trigger.event for kind in situations for trigger in (*kind.opens, *kind.closes)}


def note_data(checked: CheckedData, catalogue: Catalogue, region: str | None) -> list[Note]:
    """A note for each part of an own event's data that has no effect, as far as that is known here.

    `region`: the organisation's country, in which numbers in national form are read if the customer has none.
    """
    detail = "this is no field of the type, and only the conditions of campaigns see it"
    ignored = [
        _note(f"/data/{escape_pointer(name)}", "ignored_field", detail) for name in checked.ignored[:MAX_IGNORED]
    ]
    if left_out := len(checked.ignored) - len(ignored):
        ignored.append(_note("/data", "more_ignored_fields", f"{left_out} more fields are none of the type"))
    if checked.customer is None:
        return ignored
    return [*ignored, *_note_choices(checked.customer, catalogue), *_note_addresses(checked.customer, region)]


def _note_addresses(customer: Customer, region: str | None) -> Iterator[Note]:
    """A note for each number in national form that is none in the organisation's country; the event names no other."""
    if customer.country is not None:
        return
    entries = [(entry.channel.value, entry.address) for entry in customer.addresses]
    for unusable in find_unusable(entries, region):
        detail = f"it is used only if a country is known of the customer, and it is a number there: {unusable.detail}"
        yield _note(f"/data/addresses/{unusable.position}/address", unusable.code, detail)


def _note_choices(customer: Customer, catalogue: Catalogue) -> Iterator[Note]:
    """A note for each opt-out and consent that no rule will ever read, as far as the active policy tells."""
    topics = {topic.key: topic for topic in catalogue.policy.document.topics}
    for index, opt_out in enumerate(customer.opt_outs):
        place = f"/data/opt_outs/{index}"
        if opt_out.class_ is Class.TRANSACTIONAL:
            yield _note(f"{place}/class", "no_effect", "transactional messages cannot be switched off")
        elif opt_out.topic in topics and topics[opt_out.topic].required:
            detail = f"the topic `{opt_out.topic}` is required: it can only be left by switching off a whole channel"
            yield _note(f"{place}/topic", "no_effect", detail)
    named = [(f"/data/opt_outs/{index}", entry.topic) for index, entry in enumerate(customer.opt_outs)]
    named += [(f"/data/consent/{index}", entry.topic) for index, entry in enumerate(customer.consent)]
    suggested = 0
    for place, topic in named:
        if topics and topic is not None and topic != "*" and topic not in topics:
            similar = did_you_mean(topic, topics) if suggested < MAX_SUGGESTIONS else ""
            suggested += 1
            detail = f"the active policy has no topic `{topic}`{similar}"
            yield _note(f"{place}/topic", "no_effect", detail)


def _note(pointer: str, code: str, detail: str) -> Note:
    return {"pointer": pointer, "code": code, "detail": detail}


def situation_kinds(catalogue: Catalogue) -> Collection[str]:
    """The kinds of situations that the active policy defines."""
    return {kind.kind for kind in catalogue.policy.document.situations}


def _nearest(event_type: str, known: Iterable[str]) -> list[str]:
    """The types that resemble one most: in spelling, whatever the case and the separators."""
    spelt = {name.lower().replace("_", ".").replace("-", "."): name for name in sorted(known)}
    plain = event_type.lower().replace("_", ".").replace("-", ".")
    return [spelt[name] for name in difflib.get_close_matches(plain, spelt, MAX_NEAREST, 0.6)]

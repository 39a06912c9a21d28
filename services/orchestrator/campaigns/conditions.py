"""Conditions in documents: CEL over `event` and `customer`, compiled and checked when a document is saved."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import schemas.campaign
import schemas.policy
from schemas.countries import parse_country
from schemas.documents import DocumentProblem
from schemas.finding import Finding
from schemas.locales import parse_locale
from schemas.zone_spellings import parse_zone
from services.condition import CelCondition, ConditionSyntaxError, compile_condition
from services.condition.static_kinds import check_constants, check_kinds

EVENT_VARIABLES = frozenset({"event.type", "event.time", "event.data"})
CUSTOMER_VARIABLES = frozenset(
    {"customer.id", "customer.traits", "customer.locale", "customer.country", "customer.zone"}
)


VARIABLE_KINDS = {
    "event.type": "text", "event.time": "a time", "event.data": "an object", "customer.id": "text",
    "customer.traits": "an object", "customer.locale": "text", "customer.country": "text", "customer.zone": "text",
}  # fmt: skip
"""The kinds of the variables whose kind is known."""
VARIABLE_SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "customer.locale": parse_locale,
    "customer.country": parse_country,
    "customer.zone": parse_zone,
}
"""How a customer's fields are always spelt, whatever was given."""


def compile_campaign_condition(text: str) -> CelCondition:
    """Compiles a trigger's `when` or an audience. Raises ConditionSyntaxError."""
    return compile_condition(text, EVENT_VARIABLES | CUSTOMER_VARIABLES)


def compile_situation_condition(text: str) -> CelCondition:
    """Compiles a situation's `when`, which may use only `event`. Raises ConditionSyntaxError."""
    return compile_condition(text, EVENT_VARIABLES)


def campaign_condition_problems(document: schemas.campaign.Campaign) -> Iterator[DocumentProblem]:
    """Returns the problems of a campaign's conditions."""
    event = document.trigger.event
    texts = (("/trigger/when", document.trigger.when, event), ("/audience", document.audience, event))
    return _condition_problems(compile_campaign_condition, texts)


def policy_condition_problems(document: schemas.policy.Policy) -> Iterator[DocumentProblem]:
    """Returns the problems of the conditions of a policy's situations."""
    texts = (
        (f"/situations/{index}/{field}/{trigger_index}/when", trigger.when, trigger.event)
        for index, kind in enumerate(document.situations)
        for field, triggers in (("opens", kind.opens), ("closes", kind.closes))
        for trigger_index, trigger in enumerate(triggers)
    )
    return _condition_problems(compile_situation_condition, texts)


def _condition_problems(
    compile_text: Callable[[str], CelCondition], texts: Iterable[tuple[str, str | None, str]]
) -> Iterator[DocumentProblem]:
    for pointer, text, event_type in texts:
        if text is None:
            continue
        try:
            compile_text(text)
            check_kinds(text, VARIABLE_KINDS, VARIABLE_SPELLINGS)
            check_constants(text, {"event.type": event_type})
        except ConditionSyntaxError as error:
            yield Finding(pointer, "bad_condition", str(error), error.line, error.column)

"""The conditions of documents: CEL over `event` and `customer`, checked when a document is saved."""

from collections.abc import Callable, Iterable, Iterator

import schemas.campaign
import schemas.policy
from schemas.documents import Problem
from services.condition import Condition, ConditionSyntaxError, compile_condition

EVENT = frozenset({"event.type", "event.time", "event.data"})
CUSTOMER = frozenset({"customer.id", "customer.traits", "customer.locale", "customer.country", "customer.zone"})


def campaign_condition(text: str) -> Condition:
    """A trigger's `when` or an audience. Raises ConditionSyntaxError."""
    return compile_condition(text, EVENT | CUSTOMER)


def situation_condition(text: str) -> Condition:
    """A situation's `when`: it sees `event` alone. Raises ConditionSyntaxError."""
    return compile_condition(text, EVENT)


def campaign_faults(document: schemas.campaign.Campaign) -> Iterator[Problem]:
    """What is wrong with a campaign's conditions."""
    texts = (("/trigger/when", document.trigger.when), ("/audience", document.audience))
    return _faults(campaign_condition, texts)


def policy_faults(document: schemas.policy.Policy) -> Iterator[Problem]:
    """What is wrong with the conditions of a policy's situations."""
    texts = (
        (f"/situations/{place}/{field}/{number}/when", trigger.when)
        for place, kind in enumerate(document.situations)
        for field, triggers in (("opens", kind.opens), ("closes", kind.closes))
        for number, trigger in enumerate(triggers)
    )
    return _faults(situation_condition, texts)


def _faults(compile: Callable[[str], Condition], texts: Iterable[tuple[str, str | None]]) -> Iterator[Problem]:
    for pointer, text in texts:
        if text is None:
            continue
        try:
            compile(text)
        except ConditionSyntaxError as error:
            yield pointer, "bad_condition", str(error)

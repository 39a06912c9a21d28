"""The facts of a simulation: those of files, changed by events through the functions of the services that own them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.customer import Customer
from schemas.event import Event
from schemas.facts import HoldFact, Scope
from schemas.suppression import Hold, Suppression
from schemas.vocabulary import CHANNELS
from services.orchestrator.campaigns.conditions import situation_condition
from services.orchestrator.decisions.reported_contact import REPORTED, reported_contact
from services.orchestrator.policy.compiled_policy import Policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact
from services.preference import preference_state as preference
from services.suppression import customer_state as suppression
from services.suppression.situation_intervals import compile_kinds


class FileWorld:
    """The facts of files, changed by events through the functions of the services that own them."""

    def __init__(
        self, policy: Policy, customers: Iterable[Customer], speaking_against: Sequence[Suppression | Hold]
    ) -> None:
        self._policy = policy
        self._kinds = compile_kinds(policy.document.situations, lambda text, _: situation_condition(text))
        self._holds = tuple(hold_fact(each) for each in speaking_against if isinstance(each, Hold))
        entries = [each for each in speaking_against if isinstance(each, Suppression)]
        self._by_address = suppression.index_addresses(entries)
        self._preferences = {each.customer: preference.from_document(each) for each in customers}
        self._suppressions: dict[str, suppression.State] = {}
        self._facts: dict[str, Facts] = {}
        for entry in entries:
            if entry.customer is not None:
                state = self._suppression(entry.customer)
                self._suppressions[entry.customer] = suppression.add_entry(state, suppression.entry_of(entry))

    def apply(self, event: Event, data: Mapping[str, Any]) -> None:
        """Both services take the event in, or neither. Raises BadEvent."""
        if event.type not in preference.TYPES and not suppression.wants(event.type, self._kinds):
            return
        customer = event.subject
        chosen = preference.apply(self._preference(customer), event, data)
        against = suppression.apply(self._suppression(customer), event, data, self._kinds)
        if chosen is not None:
            self._preferences[customer] = chosen
        if against is not None:
            self._suppressions[customer] = against
        if chosen is not None or against is not None:
            self._facts.pop(customer, None)

    def facts(self, customer: str) -> Facts:
        """The facts as of the events taken in."""
        found = self._facts.get(customer)
        if found is None:
            chosen = preference.facts(self._preference(customer))
            names = [suppression.plain_name(each.channel, each.address) for each in chosen.addresses]
            against = suppression.facts(self._suppression(customer), self._by_address, names)
            found = Facts(chosen, against, self._holds, self._policy, frozenset(CHANNELS))
            self._facts[customer] = found
        return found

    def reported(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """The contact that another tool reports. Raises BadEvent."""
        return reported_contact(event, data) if event.type == REPORTED else None

    def _preference(self, customer: str) -> preference.State:
        return self._preferences.get(customer) or preference.empty(customer)

    def _suppression(self, customer: str) -> suppression.State:
        return self._suppressions.get(customer) or suppression.empty(customer)


def hold_fact(hold: Hold) -> HoldFact:
    """What rules see of a hold."""
    scope = hold.scope
    words = {name: getattr(scope, name) for name in ("channels", "topics", "classes", "intents", "campaigns")}
    known = {name: None if values is None else frozenset(map(str, values)) for name, values in words.items()}
    return HoldFact(hold.key, hold.mode, hold.start, hold.until, Scope(**known), scope.region, scope.trait)

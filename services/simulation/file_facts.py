"""Facts of a simulation from files, changed by events through the functions of the owning services."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.customer import Customer
from schemas.event import Event
from schemas.facts import HoldFact, MessageScope
from schemas.suppression import Hold, Suppression
from schemas.vocabulary import CHANNELS
from services.orchestrator.campaigns.conditions import compile_situation_condition
from services.orchestrator.decisions.reported_contact import REPORTED_EVENT_TYPE, parse_reported_contact
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact
from services.preference import preference_state as preference
from services.suppression import suppression_state as suppression
from services.suppression.situation_intervals import compile_kinds


class FileFactsSource:
    """Facts read from files, changed by events through the functions of the owning services."""

    def __init__(
        self,
        policy: CompiledPolicy,
        customers: Iterable[Customer],
        suppressions_and_holds: Sequence[Suppression | Hold],
        region: str | None = None,
    ) -> None:
        """`region`: the organisation's country. `unusable_suppressions`: how many name what is no address."""
        self._region = region
        self._policy = policy
        self._situation_kinds = compile_kinds(
            policy.document.situations, lambda text, _: compile_situation_condition(text)
        )
        self._holds = tuple(to_hold_fact(each) for each in suppressions_and_holds if isinstance(each, Hold))
        entries = [each for each in suppressions_and_holds if isinstance(each, Suppression)]
        self._by_address, self.unusable_suppressions = suppression.index_address_entries(entries, region)
        self._preferences = {each.customer: preference.from_document(each, region) for each in customers}
        self._suppressions: dict[str, suppression.SuppressionState] = {}
        self._facts: dict[str, Facts] = {}
        for entry in entries:
            if entry.customer is not None:
                state = self._suppression_state(entry.customer)
                self._suppressions[entry.customer] = suppression.add_entry(state, suppression.to_entry(entry))

    def apply_event(self, event: Event, data: Mapping[str, Any]) -> None:
        """Applies an event in both services, or in neither. Raises InvalidEvent."""
        if event.type not in preference.EVENT_TYPES and not suppression.handles(event.type, self._situation_kinds):
            return
        customer = event.subject
        new_preference = preference.apply_event(self._preference_state(customer), event, data)
        new_suppression = suppression.apply_event(self._suppression_state(customer), event, data, self._situation_kinds)
        if new_preference is not None:
            self._preferences[customer] = new_preference
        if new_suppression is not None:
            self._suppressions[customer] = new_suppression
        if new_preference is not None or new_suppression is not None:
            self._facts.pop(customer, None)

    def facts_of(self, customer: str) -> Facts:
        """Returns the facts as of the events applied so far."""
        facts = self._facts.get(customer)
        if facts is None:
            preference_facts = preference.to_facts(self._preference_state(customer))
            names = [
                (index, suppression.plain_address_name(each.channel, each.canonical_form))
                for index, each in enumerate(preference_facts.addresses)
            ]
            suppressions = suppression.to_facts(self._suppression_state(customer), self._by_address, names)
            facts = Facts(preference_facts, suppressions, self._holds, self._policy, frozenset(CHANNELS))
            self._facts[customer] = facts
        return facts

    def parse_reported_contact(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """Returns the contact that another tool reports. Raises InvalidEvent."""
        return parse_reported_contact(event, data) if event.type == REPORTED_EVENT_TYPE else None

    def _preference_state(self, customer: str) -> preference.PreferenceState:
        return self._preferences.get(customer) or preference.empty_state(customer, self._region)

    def _suppression_state(self, customer: str) -> suppression.SuppressionState:
        return self._suppressions.get(customer) or suppression.empty_state(customer)


def to_hold_fact(hold: Hold) -> HoldFact:
    """Converts a hold to the form that rules see."""
    scope = hold.scope
    fields = {name: getattr(scope, name) for name in ("channels", "topics", "classes", "intents", "campaigns")}
    scope_fields = {name: None if values is None else frozenset(map(str, values)) for name, values in fields.items()}
    return HoldFact(
        hold.key, hold.mode, hold.start, hold.until, MessageScope(**scope_fields), scope.region, scope.trait
    )

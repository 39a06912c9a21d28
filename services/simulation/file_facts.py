"""Facts of a simulation from files, changed by events through the functions of the owning services."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from schemas.customer import Customer
from schemas.event import Event, InvalidEvent
from schemas.facts import HoldFact, MessageScope
from schemas.own_events import FEEDBACK_GIVEN, CheckedData, EventProblem, check_event, is_own, is_unknown_own
from schemas.suppression import Hold, Suppression
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.campaigns.conditions import compile_situation_condition
from services.orchestrator.decisions.reported_contact import read_reported_contact
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact
from services.preference import preference_state as preference
from services.suppression import suppression_state as suppression
from services.suppression.situation_intervals import compile_kinds

KNOWN_TYPES = 4096
"""Of so many event types it is remembered whether they are handled."""


class FileFactsSource:
    """Facts read from files, changed by events through the functions of the owning services."""

    def __init__(
        self,
        policy: CompiledPolicy,
        customers: Iterable[Customer],
        suppressions_and_holds: Sequence[Suppression | Hold],
        region: str | None = None,
    ) -> None:
        """`region`: the organisation's country. `unusable_suppressions`: how many name what is no address.

        `handles`: whether events of a type may change facts, or are checked although they change none.
        """
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
        self._quarantines = 0
        self.handles = lru_cache(KNOWN_TYPES)(self._find_handled)
        for entry in entries:
            if entry.customer is not None:
                state = self._suppression_state(entry.customer)
                self._suppressions[entry.customer] = suppression.add_entry(state, suppression.to_entry(entry))

    def _find_handled(self, event_type: str) -> bool:
        return (
            event_type in preference.EVENT_TYPES
            or suppression.handles(event_type, self._situation_kinds)
            or is_own(event_type)
            or is_unknown_own(event_type)
        )

    def apply_event(self, event: Event, data: Mapping[str, Any], at: Instant) -> CheckedData:
        """Applies the good parts of an event in both services, as they do, and returns what the check has found.

        What may have been a refusal quarantines the customer from `at` on. Nobody closes a dead letter here.
        """
        if not self.handles(event.type):
            return CheckedData(data)
        kinds = self._situation_kinds
        customer = event.subject
        checked = check_event(event, kinds.lapses)
        before = self._preference_state(customer), self._suppression_state(customer)
        new_preference, problems = self._apply_preference(before[0], event, checked)
        new_suppression = suppression.apply_event(before[1], event, checked, kinds)
        if checked.may_refuse or (checked.unreadable and event.type == FEEDBACK_GIVEN and kinds.opens(event.type)):
            self._quarantines += 1
            position = ("", 0, self._quarantines)
            new_suppression = suppression.quarantine(new_suppression or before[1], position, at)
        if new_preference is not None:
            self._preferences[customer] = new_preference
        if new_suppression is not None:
            self._suppressions[customer] = new_suppression
        if new_preference is not None or new_suppression is not None:
            self._facts.pop(customer, None)
        return replace(checked, problems=(*checked.problems, *problems))

    def _apply_preference(
        self, state: preference.PreferenceState, event: Event, checked: CheckedData
    ) -> tuple[preference.PreferenceState | None, tuple[EventProblem, ...]]:
        """What fits of an event that would exceed a limit is applied, as the service does."""
        change, problems = preference.to_change(event, checked), list[EventProblem]()
        while change is not None:
            try:
                return preference.apply_change(state, change), tuple(problems)
            except InvalidEvent as error:
                problems += error.problems
                change = preference.without_excess(change, {error.pointer})
        return None, tuple(problems)

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

    def read_reported_contact(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """Returns the contact that another tool reports."""
        return read_reported_contact(event, data)

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

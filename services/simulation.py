"""`tactful simulate`: files in, decisions out. Wiring only; every rule is the one that production runs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel

import schemas.campaign
import schemas.policy
from schemas.customer import Customer
from schemas.decision import to_document
from schemas.documents import DocumentError, load, load_json, validate
from schemas.event import BadEvent, Event, data_of, decode_structured
from schemas.facts import HoldFact, Scope
from schemas.suppression import Hold, Suppression
from schemas.times import Instant
from schemas.vocabulary import CHANNELS
from services.kit.condition import ConditionSyntaxError
from services.orchestrator.catalogue.conditions import campaign_condition, situation_condition
from services.orchestrator.deciding.campaign import Campaign, compile_campaign
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.ledger import Contact
from services.orchestrator.deciding.match import Catalogue
from services.orchestrator.deciding.policy import Policy, compile_policy
from services.orchestrator.deciding.simulate import Simulation
from services.orchestrator.reported import REPORTED, reported_contact
from services.preference import state as preference
from services.suppression import state as suppression
from services.suppression.situations import compile_kinds

Model = TypeVar("Model", bound=BaseModel)
DOCUMENTS = frozenset({".yaml", ".yml", ".json"})


class BadInput(ValueError):
    """A file that cannot be used; the text names the file, the line, what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run saw and decided. `outcomes` and `reasons` count decisions."""

    events: int
    duplicates: int
    refused: int
    decisions: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]


class FileWorld:
    """The facts of files, changed by events through the functions of the services that own them."""

    def __init__(self, policy: Policy, customers: list[Customer], speaking_against: list[Suppression | Hold]) -> None:
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


def run(
    campaigns: Path,
    policy: Path,
    preferences: Path,
    suppressions: Path,
    events: Path,
    until: Instant | None,
    out: Path,
    trace: str = "decisive",
) -> Summary:
    """Simulates the events and writes one decision a line to `out`; equal input gives equal bytes. Raises BadInput."""
    rules = read_policy(policy)
    catalogue = Catalogue(read_campaigns(campaigns), rules, frozenset(CHANNELS))
    world = FileWorld(rules, read_customers(preferences), read_suppressions(suppressions))
    simulation = Simulation(catalogue, world, until)
    outcomes, reasons = Counter[str](), Counter[str]()
    encoder = msgspec.json.Encoder()
    with out.open("wb") as file:
        for decision in simulation.run(read_events(events)):
            outcomes[decision.outcome] += 1
            reasons[decision.reason] += 1
            file.write(encoder.encode(to_document(decision, trace)) + b"\n")
    return Summary(
        simulation.events, simulation.duplicates, simulation.refused, outcomes.total(), dict(outcomes), dict(reasons)
    )


def read_campaigns(folder: Path) -> dict[str, Campaign]:
    """The campaigns of a folder's YAML and JSON files by key: active, version 1. Raises BadInput."""
    found: dict[str, Campaign] = {}
    for path in sorted(each for each in _entries(folder) if each.suffix in DOCUMENTS):
        document = _document(path, schemas.campaign.Campaign)
        if document.key in found:
            raise BadInput(f"{path}: another file holds the campaign `{document.key}` already")
        try:
            found[document.key] = compile_campaign(document, 1, True, campaign_condition)
        except ConditionSyntaxError as error:
            raise BadInput(f"{path}: {error}") from None
    return found


def read_policy(path: Path) -> Policy:
    """The policy of a file, as version 1. Raises BadInput."""
    try:
        return compile_policy(_document(path, schemas.policy.Policy), 1, situation_condition)
    except ConditionSyntaxError as error:
        raise BadInput(f"{path}: {error}") from None


def read_customers(path: Path) -> list[Customer]:
    """The customers of a file, one JSON object a line. Raises BadInput."""
    found: dict[str, Customer] = {}
    for place, line in _lines(path):
        customer = _checked(place, Customer, line)
        if customer.customer in found:
            raise BadInput(f"{place}: the customer `{customer.customer}` appears twice")
        found[customer.customer] = customer
    return list(found.values())


def read_suppressions(path: Path) -> list[Suppression | Hold]:
    """The suppressions and, with `mode`, holds of a file, one JSON object a line. Raises BadInput."""
    found: list[Suppression | Hold] = []
    keys: set[str] = set()
    for place, line in _lines(path):
        if not isinstance(_json(place, line), dict) or "mode" not in _json(place, line):
            found.append(_checked(place, Suppression, line))
            continue
        hold = _checked(place, Hold, line)
        if hold.key in keys:
            raise BadInput(f"{place}: the hold `{hold.key}` appears twice")
        keys.add(hold.key)
        found.append(hold)
    return found


def read_events(path: Path) -> Iterator[tuple[Event, Mapping[str, Any]]]:
    """The events of a file, one CloudEvent a line, read as they are needed. Raises BadInput."""
    for place, line in _lines(path):
        try:
            event = decode_structured(line)
            yield event, data_of(event)
        except BadEvent as error:
            raise BadInput(f"{place}: {error.pointer or '/'}: {error.detail}") from None


def hold_fact(hold: Hold) -> HoldFact:
    """What rules see of a hold."""
    scope = hold.scope
    words = {name: getattr(scope, name) for name in ("channels", "topics", "classes", "intents", "campaigns")}
    known = {name: None if values is None else frozenset(map(str, values)) for name, values in words.items()}
    return HoldFact(hold.key, hold.mode, hold.start, hold.until, Scope(**known), scope.region, scope.trait)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}") from None


def _document(path: Path, model: type[Model]) -> Model:
    try:
        return validate(model, load(path.read_bytes()))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise BadInput(f"{path}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", line
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _json(place: str, line: bytes) -> Any:
    try:
        return load_json(line)
    except DocumentError as error:
        raise BadInput(f"{place}: {error}") from None


def _checked(place: str, model: type[Model], line: bytes) -> Model:
    try:
        return validate(model, _json(place, line))
    except DocumentError as error:
        raise BadInput(f"{place}: {error}") from None

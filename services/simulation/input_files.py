"""Input files of a simulation, validated while they are read; errors name the file and the line."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

import schemas.campaign
import schemas.policy
from schemas.customer import Customer
from schemas.documents import DocumentError, is_blank_line, load_document, load_json, validate_document
from schemas.event import Event, InvalidEvent, decode_event, parse_data
from schemas.own_events import check_event, is_own, is_unknown_own
from schemas.suppression import Hold, Suppression
from schemas.times import Instant
from services.condition import ConditionSyntaxError
from services.orchestrator.campaigns.conditions import compile_campaign_condition, compile_situation_condition
from services.orchestrator.campaigns.trait_use import traits_of_campaign
from services.orchestrator.policy.compiled_campaign import CompiledCampaign, compile_campaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.virtual_time_simulation import SimulatedEvent, TimePassed
from services.simulation.customer_share import ALL_CUSTOMERS, CustomerShare

Model = TypeVar("Model", bound=BaseModel)
OnBytesRead = Callable[[int], None]
"""A callback that receives, now and then, the number of bytes of events read since its last call."""
PROGRESS_EVERY = 1000
DOCUMENT_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class BadInput(ValueError):
    """A file that cannot be used; the text names the file, the line, and the problem."""


def read_campaigns(folder: Path, *, stored: bool = False) -> dict[str, CompiledCampaign]:
    """Reads the campaigns of a folder's YAML and JSON files by key: active, version 1. Raises BadInput.

    `stored`: they were saved before, so that they act as they do live, even if they could not be saved today.
    """
    campaigns: dict[str, CompiledCampaign] = {}
    for path in sorted(each for each in _list_folder(folder) if each.suffix in DOCUMENT_SUFFIXES):
        document = _read_document(path, schemas.campaign.Campaign, stored=stored)
        if document.key in campaigns:
            raise BadInput(f"{path}: the campaign `{document.key}` is also in another file of this folder")
        try:
            campaigns[document.key] = compile_campaign(
                document, 1, True, compile_campaign_condition, traits=traits_of_campaign(document)
            )
        except ValueError as error:
            raise BadInput(f"{path}: {error}") from None
    return campaigns


def read_policy(path: Path) -> CompiledPolicy:
    """Reads the policy, as version 1. Raises BadInput."""
    try:
        return compile_policy(_read_document(path, schemas.policy.Policy), 1, compile_situation_condition)
    except ConditionSyntaxError as error:
        raise BadInput(f"{path}: {error}") from None


def read_customers(path: Path) -> list[Customer]:
    """Reads customers, one JSON object per line. Raises BadInput."""
    return list(iter_customers(path))


def iter_customers(path: Path, share: CustomerShare = ALL_CUSTOMERS) -> Iterator[Customer]:
    """As `read_customers`, lazily, those of a share."""
    seen: set[str] = set()
    for number, line in _numbered_lines(path):
        document = _parse_json(path, number, line)
        name = document.get("customer") if isinstance(document, dict) else None
        if isinstance(name, str) and not share.has(name):
            continue
        customer = _parse_document(path, number, Customer, document)
        if customer.customer in seen:
            raise BadInput(f"{path}:{number}: the customer `{customer.customer}` appears twice")
        seen.add(customer.customer)
        yield customer


def read_suppressions(path: Path) -> list[Suppression | Hold]:
    """Reads suppressions and (with `mode`) holds, one JSON object per line. Raises BadInput."""
    entries: list[Suppression | Hold] = []
    keys: set[str] = set()
    for number, line in _numbered_lines(path):
        document = _parse_json(path, number, line)
        if not isinstance(document, dict) or "mode" not in document:
            entries.append(_parse_document(path, number, Suppression, document))
            continue
        hold = _parse_document(path, number, Hold, document)
        if hold.key in keys:
            raise BadInput(f"{path}:{number}: the hold `{hold.key}` appears twice")
        keys.add(hold.key)
        entries.append(hold)
    return entries


def read_events(
    path: Path,
    wants: Callable[[str], bool],
    on_bytes_read: OnBytesRead | None = None,
    share: CustomerShare = ALL_CUSTOMERS,
) -> Iterator[SimulatedEvent | TimePassed]:
    """Reads events, one CloudEvent per line, lazily. Raises BadInput.

    `wants`: whether events of a type may change or trigger anything. The data of others are not read, as a service
    does not read them. Of events of other shares' customers only the time is read; of those between two events of our
    own the latest.
    """
    read = 0
    passed: Instant | None = None
    for count, (number, line) in enumerate(_numbered_lines(path)):
        read += len(line)
        if on_bytes_read is not None and count % PROGRESS_EVERY == 0:
            on_bytes_read(read)
            read = 0
        others = share.time_of_others_event(line)
        if others is not None:
            passed = others if passed is None else max(passed, others)
            continue
        if passed is not None:
            yield TimePassed(passed)
            passed = None
        try:
            event = decode_event(line)
            yield SimulatedEvent(event.time, event, _data_of(event) if wants(event.type) else {}, number)
        except InvalidEvent as error:
            raise BadInput(f"{path}:{number}: {error.pointer or '/'}: {error.detail}") from None
    if passed is not None:
        yield TimePassed(passed)


def _data_of(event: Event) -> Mapping[str, Any]:
    # The parts of our own types that are wrong are named in the summary, as a service would name them.
    ours = is_own(event.type) or is_unknown_own(event.type)
    return check_event(event).data if ours else parse_data(event)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}") from None


def _read_document(path: Path, model: type[Model], *, stored: bool = False) -> Model:
    try:
        return validate_document(model, load_document(path.read_bytes()), stored=stored)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise BadInput(f"{path}: {error}") from None


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.startswith(b"{") or not is_blank_line(line):
                    yield number, line
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _parse_json(path: Path, number: int, line: bytes) -> Any:
    try:
        return load_json(line)
    except DocumentError as error:
        raise BadInput(f"{path}:{number}: {error}") from None


def _parse_document(path: Path, number: int, model: type[Model], document: Any) -> Model:
    try:
        return validate_document(model, document)
    except DocumentError as error:
        raise BadInput(f"{path}:{number}: {error}") from None

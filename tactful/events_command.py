"""`tactful events`: publishes events about customers over HTTP, as an application would."""

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from schemas.documents import DocumentError, is_blank_line, load_json
from schemas.own_events import CUSTOMER_ERASED
from schemas.times import format_instant, parse_instant
from tactful.command_errors import EXIT_FAILED, CommandError, error_from_document
from tactful.connection import ApiClient, connect
from tactful.document_files import DOCUMENT_SUFFIXES, read_document
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command
from tactful.tail_command import tail

app = typer.Typer(no_args_is_help=True, help="Send events, and follow the decisions they lead to.")
app.command()(tail)
PATH = "/v1/events"
DEFAULT_SOURCE = "/tactful/cli"
BATCH_SIZE = 500
SINGLE_CONTENT_TYPE, BATCH_CONTENT_TYPE = "application/cloudevents+json", "application/cloudevents-batch+json"
COLUMNS = {
    "campaign": "campaign",
    "channel": "channel",
    "outcome": "outcome",
    "reason": "reason",
    "rule": "rule_id",
    "until": "when",
}


@app.command()
def send(
    type_: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="The event type, such as shop.order.shipped.")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="The customer's id.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A field of the data: total=59.9, order.id=A-1")
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data as JSON; --set adds to it.")] = None,
    file: Annotated[Path | None, typer.Option(help="One event (YAML, JSON) or many (.jsonl).", dir_okay=False)] = None,
    id_: Annotated[str | None, typer.Option("--id", help="The event's id.", show_default="a new one")] = None,
    source: Annotated[str, typer.Option(help="The event's source.")] = DEFAULT_SOURCE,
    time: Annotated[str | None, typer.Option(help="When it happened (RFC 3339).", show_default="now")] = None,
    wait: Annotated[str, typer.Option(help="How long to wait for the decisions; 0s: not at all.")] = "5s",
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Send an event, and show the decisions that it led to."""
    if (type_ is None) == (file is None):
        raise typer.BadParameter("give either a TYPE or a --file")
    with connect() as api:
        if file is not None:
            _send_events(api, _read_events(file), None if wait == "0s" else wait, output)
            return
        if customer is None:
            raise typer.BadParameter("an event needs a customer", param_hint="--customer")
        event = {
            "specversion": "1.0",
            "id": id_ or f"e-{uuid.uuid4().hex[:12]}",
            "source": source,
            "type": type_,
            "subject": customer,
            "time": _event_time(api, time),
            "data": _build_data(data, set_ or ()),
        }
        _send_events(api, [event], None if wait == "0s" else wait, output)


def _send_events(
    api: ApiClient, events: Iterable[dict[str, Any]], wait: str | None, output_format: OutputFormat
) -> None:
    refused = 0
    for batch in _split_batches(events):
        items = _post_batch(api, batch, wait)
        refused += sum(item["status"] == "invalid" for item in items)
        _print_batch(batch, items, wait, output_format)
    if refused:
        raise CommandError(
            "1 event was not accepted" if refused == 1 else f"{refused} events were not accepted", exit_code=EXIT_FAILED
        )


def _post_batch(api: ApiClient, batch: list[dict[str, Any]], wait: str | None) -> list[dict[str, Any]]:
    single = len(batch) == 1
    body = msgspec.json.encode(batch[0] if single else batch)
    headers = {"Content-Type": SINGLE_CONTENT_TYPE if single else BATCH_CONTENT_TYPE}
    params = {"wait": wait} if wait else {}
    items: list[dict[str, Any]] = api.request("POST", PATH, content=body, headers=headers, params=params)["items"]
    return items


def _print_batch(
    batch: list[dict[str, Any]], items: list[dict[str, Any]], wait: str | None, output_format: OutputFormat
) -> None:
    if output_format is not OutputFormat.TABLE:
        print_data(items, output_format)
        return
    if len(items) > 1:
        _print_counts(batch, items)
        return
    item, event = items[0], batch[0]
    print_message(f"{item['status']} {event['id']}")
    for note in item.get("notes", ()):
        print_message(f"{note['pointer']}: {note['detail']}", "yellow")
    decisions = item.get("decisions")
    if decisions:
        print_data([_decision_row(decision) for decision in decisions], output_format, COLUMNS)
        suggest_command(f"tactful why {event['subject']} {decisions[0]['campaign']}")
    elif decisions is not None and event["type"] == CUSTOMER_ERASED:
        suggest_command(f"tactful erasure {event['subject']}")
    elif decisions is not None:
        print_message("It triggers no active campaign.")
    elif wait is not None:
        print_message(f"Not decided within {wait}; see GET {item['status_url']}")


def _print_counts(batch: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    for event, item in zip(batch, items, strict=True):
        for error in item.get("errors", ()):
            print_message(f"invalid {event.get('id')}: {error['pointer'] or '/'}: {error['detail']}", "red")
    statuses = [item["status"] for item in items]
    outcomes = [decision["outcome"] for item in items for decision in item.get("decisions", ())]
    for words in (statuses, outcomes):
        if words:
            print_message(", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)))


def _decision_row(decision: dict[str, Any]) -> dict[str, Any]:
    return {**decision, "when": decision["until"] or decision["allowed_from"]}


def _split_batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _read_events(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix in DOCUMENT_SUFFIXES:
        yield _require_object(str(path), read_document(path))
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not is_blank_line(line):
                    yield _require_object(f"{path}:{number}", _parse_json(f"{path}:{number}", line))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _require_object(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CommandError(f"{place}: an event is a JSON object")
    return value


def _parse_json(place: str, text: bytes) -> Any:
    try:
        return load_json(text)
    except DocumentError as error:
        raise error_from_document(place, error) from None


def _build_data(text: str | None, fields: Iterable[str]) -> dict[str, Any]:
    data = _require_object("--data", {} if text is None else _parse_json("--data", text.encode()))
    for field in fields:
        path, equals, value = field.partition("=")
        *parents, name = path.split(".")
        if not equals or not all((*parents, name)):
            raise typer.BadParameter(f"`{field}` is not name=value", param_hint="--set")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"`{parent}` already has a value", param_hint="--set")
        place[name] = _parse_value(value)
    return data


def _parse_value(text: str) -> Any:
    """The value of the text as JSON (a number, true, null, a list ...) if it is valid JSON, else the text itself."""
    try:
        return load_json(text.encode())
    except (DocumentError, json.JSONDecodeError):
        return text


def _event_time(api: ApiClient, text: str | None) -> str:
    if text is None:
        return api.now()
    try:
        return format_instant(parse_instant(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--time") from None

"""`tactful dlq`: dead letters, which are events that could not be applied: list, look, apply again, or close."""

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from schemas.dead_letters import DEFAULT_REDRIVE_RATE, MAX_REDRIVE_RATE
from tactful.command_errors import CommandError
from tactful.connection import ApiClient, connect
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command
from tactful.progress import show_progress

app = typer.Typer(no_args_is_help=True, help="List, redrive and discard dead letters, which could not be applied.")
PATH = "/v1/dead-letters"
COLUMNS = {"id": "id", "at": "at", "state": "state", "event": "event", "customer": "customer", "problem": "problem"}
CLOSED_COLUMNS = {**COLUMNS, "closed": "closed"}
EFFECT_COLUMNS = {"id": "id", "effect": "effect", "what it would do": "detail"}
ITEM_COLUMNS = {"id": "id", "result": "result", "why": "detail"}
POLL_SECONDS = 0.5
"""Seconds between two looks at a job."""


class LetterService(StrEnum):
    """A service that applies events."""

    ORCHESTRATOR = "orchestrator"
    PREFERENCE = "preference"
    SUPPRESSION = "suppression"


class ListedState(StrEnum):
    """Which letters a list has."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ALL = "all"


ServiceOption = Annotated[LetterService | None, typer.Option(help="Refused by this service.", show_default="all three")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Events of this type.", show_default="all")]
CustomerOption = Annotated[str | None, typer.Option(help="Events of this customer.", show_default="all")]
CodeOption = Annotated[str | None, typer.Option(help="With this problem.", show_default="all")]
TopicOption = Annotated[str | None, typer.Option(help="From this topic of the log.", show_default="all")]
FromOption = Annotated[str | None, typer.Option("--from", help="Refused from then on (RFC 3339).", show_default="all")]
ToOption = Annotated[str | None, typer.Option("--to", help="Refused before then (RFC 3339).", show_default="all")]
LetterId = Annotated[str, typer.Argument(help="The letter's id, such as preference-12.")]


@app.command("list")
def list_(
    service: ServiceOption = None,
    state: Annotated[ListedState, typer.Option(help="Letters in this state.")] = ListedState.OPEN,
    type_: TypeOption = None,
    customer: CustomerOption = None,
    code: CodeOption = None,
    topic: TopicOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=1, max=10_000)] = 200,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """List dead letters of all three services, newest first. Exit code 1 if a service does not answer."""
    filters = _filters(service, type_, customer, code, topic, from_, to)
    query: dict[str, Any] = {**filters, "state": None if state is ListedState.ALL else state.value}
    letters: list[Any] = []
    after: str | None = None
    with connect() as api:
        while True:
            page = api.get(PATH, limit=min(limit - len(letters), 200), after=after, **query)
            letters += page["items"]
            after = page["next"]
            if after is None or len(letters) >= limit:
                break
    columns = COLUMNS if state is ListedState.OPEN else CLOSED_COLUMNS
    rows = [_letter_row(each) for each in letters] if output is OutputFormat.TABLE else letters
    states = "" if state is ListedState.ALL else f"{state.value} "
    print_data(rows, output, columns, empty=f"there are no {states}dead letters{' that match' if filters else ''}")
    counts = [f"{each['service']} {each['open']}" for each in page["services"] if each["answers"]]
    print_message(f"open: {', '.join(counts) or 'unknown'}{'; there are more: use --limit' if after else ''}")
    silent = [each["detail"] for each in page["services"] if not each["answers"]]
    if silent:
        raise CommandError("this list is incomplete", details=silent, hint="see `tactful doctor`")


@app.command()
def show(
    letter: LetterId,
    dry_run: Annotated[bool, typer.Option(help="Also tell what its event would do now.")] = True,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show a dead letter: what is wrong, its original bytes if your role may see them, and what it would do now."""
    with connect() as api:
        found = api.get(_letter_path(letter), dry_run="true" if dry_run else "false")
    print_data(_letter_fields(found) if output is OutputFormat.TABLE else found, output)
    if found["state"] == "open":
        is_refused = found["dry_run"] is not None and found["dry_run"]["effect"] in ("rejected", "failed")
        suggest_command(f"tactful dlq {'discard' if is_refused else 'redrive'} {letter} --reason WHY")


@app.command()
def redrive(
    letters: Annotated[list[str] | None, typer.Argument(help="The ids of letters.", show_default="")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All open letters, or all that the filters leave.")] = False,
    service: ServiceOption = None,
    type_: TypeOption = None,
    customer: CustomerOption = None,
    code: CodeOption = None,
    topic: TopicOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    reason: Annotated[str | None, typer.Option(help="Why, such as what was mended; kept with each letter.")] = None,
    rate: Annotated[
        int, typer.Option(help="Letters a second.", min=1, max=MAX_REDRIVE_RATE, show_default=True)
    ] = DEFAULT_REDRIVE_RATE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end of the job.")] = True,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Apply the events of dead letters again, each once. Exit code 1 if some still cannot be applied."""
    filters = _filters(service, type_, customer, code, topic, from_, to)
    body: dict[str, Any] = {"rate": rate, **_chosen(letters, filters, all_)}
    if not dry_run and not reason:
        raise typer.BadParameter("missing; it is kept with every letter", param_hint="--reason")
    with connect() as api:
        if dry_run:
            _print_rehearsal(api.post(f"{PATH}/redrive", {**body, "dry_run": True}), output)
            return
        job = api.post(f"{PATH}/redrive", {**body, "reason": reason})
        print_message(f"{job['id']}: {job['total']} {'letter' if job['total'] == 1 else 'letters'} at {rate} a second")
        if job["left_out"]:
            print_message(f"{job['left_out']} more are left for another job", "yellow")
        if not wait:
            print_data(job, output)
            return
        job = _follow(api, job)
    _print_job(job, output)


@app.command()
def discard(
    letters: Annotated[list[str], typer.Argument(help="The ids of letters, such as preference-12.")],
    reason: Annotated[str, typer.Option(help="Why these events may be missing; kept with each letter.")],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Close dead letters without applying their events. Closed letters are kept for 30 days."""
    with connect() as api:
        closed = [api.post(f"{_letter_path(each)}/discard", {"reason": reason}) for each in letters]
    print_data(
        [_letter_row(each) for each in closed] if output is OutputFormat.TABLE else closed, output, CLOSED_COLUMNS
    )


def _letter_path(letter: str) -> str:
    return f"{PATH}/{quote(letter, safe='')}"


def _filters(
    service: Any, type_: str | None, customer: str | None, code: str | None, topic: str | None, since: Any, to: Any
) -> dict[str, str]:
    values = {"type": type_, "customer": customer, "code": code, "topic": topic, "from": since, "to": to}
    values["service"] = None if service is None else service.value
    return {name: value for name, value in values.items() if value is not None}


def _chosen(letters: Sequence[str] | None, filters: Mapping[str, str], all_: bool) -> dict[str, Any]:
    """The letters of a redrive: by their ids, or all open ones that match the filters."""
    if letters and (filters or all_):
        raise typer.BadParameter("give either ids, or filters (or --all)", param_hint="LETTERS")
    if not letters and not filters and not all_:
        raise typer.BadParameter("give ids, a filter such as --type, or --all", param_hint="LETTERS")
    return {"ids": list(letters)} if letters else {"filter": dict(filters)}


def _print_rehearsal(rehearsal: Mapping[str, Any], output: OutputFormat) -> None:
    items = rehearsal["items"]
    rows = [{**each, "detail": "; ".join([each["detail"], *each["warnings"]])} for each in items]
    print_data(
        rows if output is OutputFormat.TABLE else rehearsal, output, EFFECT_COLUMNS, empty="no open letter matches"
    )
    more = rehearsal["total"] - rehearsal["shown"]
    print_message(f"nothing was changed{f'; {more} more letters were not tried' if more else ''}")


def _follow(api: ApiClient, job: dict[str, Any]) -> dict[str, Any]:
    """Shows the progress of a job until it ends."""
    told: str | None = None
    with show_progress("redriving", job["total"]) as advance:
        shown = 0
        while True:
            advance(job["done"] - shown)
            shown = job["done"]
            if job["state"] not in ("queued", "running"):
                return job
            if job["waiting"] is not None and job["waiting"] != told:
                print_message(f"waiting: {job['waiting']}", "yellow")
                told = job["waiting"]
            time.sleep(POLL_SECONDS)
            job = api.get(f"{PATH}/jobs/{job['id']}")


def _print_job(job: Mapping[str, Any], output: OutputFormat) -> None:
    results = job["results"]
    if output is not OutputFormat.TABLE:
        print_data(job, output)
    elif job["items"]:
        print_data(job["items"], output, ITEM_COLUMNS)
    print_message(
        f"{job['id']}: {job['state']}; {results['redriven']} redriven, {results['still_dead']} still dead, "
        f"{results['closed_before'] + results['not_found']} were not open"
    )
    if results["still_dead"] or results["not_found"] or job["state"] == "cancelled":
        left = job["total"] - results["redriven"] - results["closed_before"]
        raise CommandError(
            f"{left} of {job['total']} letters were not redriven",
            hint="`tactful dlq show ID` tells what is wrong; `tactful dlq discard ID` closes what cannot be mended",
        )


def _letter_row(letter: Mapping[str, Any]) -> dict[str, Any]:
    event = letter["event"]
    return {
        "id": letter["id"],
        "at": letter["at"],
        "state": letter["state"],
        "event": " ".join(filter(None, (event["type"], event["id"]))) or "unreadable",
        "customer": letter["customer"],
        "problem": _problem_text(letter),
        "closed": f"by {letter['closed_by']}: {letter['close_reason']}" if letter["closed_at"] else None,
    }


def _problem_text(letter: Mapping[str, Any]) -> str:
    problems = [f"{each['pointer']}: {each['detail']}".removeprefix(": ") for each in letter["problems"]]
    return "; ".join(problems) or f"{letter['error']['class']}: {letter['error']['message']}"


def _letter_fields(letter: Mapping[str, Any]) -> dict[str, Any]:
    """A letter as a list of fields, with its bytes and what it would do now."""
    record, event, content, tried = letter["record"], letter["event"], letter["content"], letter["dry_run"]
    fields: dict[str, Any] = {
        "letter": letter["id"],
        "state": letter["state"],
        "refused": letter["at"],
        "problem": _problem_text(letter),
        "event": " ".join(filter(None, (event["type"], event["source"], event["id"]))) or "unreadable",
        "customer": letter["customer"],
        "record": f"{record['topic']}, partition {record['partition']}, offset {record['offset']}",
    }
    if letter["redrives"]:
        fields["tried again"] = f"{letter['redrives']} times, last {letter['redriven_at']}"
    if letter["closed_at"]:
        fields["closed"] = f"by {letter['closed_by']} at {letter['closed_at']}: {letter['close_reason']}"
    if content is None:
        fields["bytes"] = f"hidden: {letter['content_hidden']}"
    else:
        fields |= {"key": _bytes_text(content["key"]), "value": _bytes_text(content["value"])}
        fields |= {f"header {each['name']}": _bytes_text(each) for each in content["headers"]}
    if letter["dry_run_problem"] is not None:
        fields["if applied now"] = f"unknown: {letter['dry_run_problem']}"
    if tried is not None:
        fields["if applied now"] = f"{tried['effect']}: {tried['detail']}"
        fields |= {f"warning {n}": each for n, each in enumerate(tried["warnings"], 1)}
        for each in tried["decisions"]:
            fields[f"decision {each['campaign']} {each['channel']}"] = f"{each['outcome']}, {each['reason']}"
    return fields


def _bytes_text(value: Mapping[str, str] | None) -> str | None:
    if value is None:
        return None
    return value["text"] if "text" in value else f"base64 {value['base64']}"

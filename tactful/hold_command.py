"""`tactful hold`: stops messages by scope, shows what lifting the stop would send, and lifts it."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.times import format_instant, parse_duration, parse_instant
from schemas.vocabulary import Channel, Class, Intent
from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError
from tactful.connection import ApiClient, connect
from tactful.document_files import read_document
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command

app = typer.Typer(no_args_is_help=True, help="Place, plan and lift holds, which stop messages.")
PATH = "/v1/holds"
COLUMNS = {"key": "key", "mode": "mode", "state": "state", "scope": "scope", "until": "until", "by": "by", "why": "why"}
PLAN_COLUMNS = {
    "campaign": "campaign",
    "channel": "channel",
    "outcome": "outcome",
    "reason": "reason",
    "now": "now",
    "after caps": "after_caps",
}
_MISSING = {
    "key": "missing; give the hold a name by which it is lifted, such as inc-482",
    "reason": "missing; say why, for the people who find the hold",
    "mode": "missing; `defer` lets messages wait until the hold ends, `drop` ends them",
}
SCOPE_FIELDS = ("channels", "classes", "topics", "intents", "campaigns")

KeyArgument = Annotated[str, typer.Argument(help="The hold's key.")]
RateOption = Annotated[
    int | None, typer.Option(help="Messages a second to release.", min=1, max=1000, show_default="50")
]


class HoldMode(StrEnum):
    """What happens to a message that a hold covers."""

    DEFER = "defer"
    DROP = "drop"


@app.command()
def place(
    key: Annotated[str | None, typer.Argument(help="The hold's key; use it to lift the hold.")] = None,
    reason: Annotated[str | None, typer.Option(help="The reason, for people to read.")] = None,
    mode: Annotated[HoldMode | None, typer.Option(help="Whether messages wait or are dropped.")] = None,
    channel: Annotated[list[Channel] | None, typer.Option(help="On this channel.", show_default="all")] = None,
    class_: Annotated[
        list[Class] | None, typer.Option("--class", help="Of this class.", show_default="service, marketing")
    ] = None,
    topic: Annotated[list[str] | None, typer.Option(help="On this topic.", show_default="all")] = None,
    intent: Annotated[list[Intent] | None, typer.Option(help="With this intent.", show_default="all")] = None,
    campaign: Annotated[list[str] | None, typer.Option(help="Of this campaign.", show_default="all")] = None,
    region: Annotated[str | None, typer.Option(help="To customers of this country, such as PT.")] = None,
    trait: Annotated[list[str] | None, typer.Option(help="To customers with this trait: vip=true")] = None,
    until: Annotated[str | None, typer.Option(help="Until then (RFC 3339).", show_default="until lifted")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="For this long: 6h", show_default="until lifted")] = None,
    file: Annotated[Path | None, typer.Option(help="The hold in a file (YAML, JSON).", dir_okay=False)] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Stop messages now. Returns once no handover that the hold covers can start any more."""
    scope = _build_scope(region, trait, (channel, class_, topic, intent, campaign))
    options = {"key": key, "reason": reason, "mode": mode and mode.value, "scope": scope}
    document = {**_read_hold(file), **{name: value for name, value in options.items() if value}}
    for name in ("key", "reason", "mode"):
        if not document.get(name):
            raise typer.BadParameter(_MISSING[name], param_hint="KEY" if name == "key" else f"--{name}")
    with connect(service="suppression") as api:
        new_hold = api.post(PATH, {**document, **_parse_end(api, until, for_)})
    _print_hold(new_hold, output)
    for note in new_hold.get("notes", ()):
        print_message(f"{note['pointer']}: {note['detail']}", "yellow")
    if not new_hold["enforced"]:
        remaining = new_hold["in_flight"]
        print_message(
            f"not enforced yet: {'some' if remaining is None else remaining} handovers are in progress", "yellow"
        )
    suggest_command(f"tactful hold plan {new_hold['key']}")


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also holds that have ended.")] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """List current and future holds: who placed each, when and why."""
    with connect(service="suppression") as api:
        holds = list(api.list_all(PATH, state="all" if all_ else None))
    rows = [_hold_row(hold) for hold in holds] if output is OutputFormat.TABLE else holds
    empty = "no hold was ever placed" if all_ else "no hold is in force or to come; --all shows those that have ended"
    print_data(rows, output, COLUMNS, empty=empty)


@app.command()
def plan(key: KeyArgument, rate: RateOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Show what lifting a hold would send, now and after caps. Nothing is changed."""
    with connect(service="suppression") as api:
        lift_plan = api.get(f"{PATH}/{quote_segment(key)}/plan", rate=rate)
    limit_note = "" if lift_plan["complete"] else f"; only the first {lift_plan['judged']} were evaluated"
    print_message(f"{key}: {lift_plan['waiting']} waiting{limit_note}")
    print_message(
        f"if it is lifted now, {lift_plan['after_caps']['send']} are sent ({lift_plan['now']['send']} without caps), "
        f"{lift_plan['expired']} expire; "
        f"the release takes {lift_plan['release_seconds']} s at {lift_plan['rate']} a second"
    )
    print_data(
        _plan_rows(lift_plan) if output is OutputFormat.TABLE else lift_plan,
        output,
        PLAN_COLUMNS,
        empty=f"{key} keeps no message back",
    )
    suggest_command(f"tactful hold lift {key} --reason WHY")


@app.command()
def lift(
    key: KeyArgument,
    reason: Annotated[str | None, typer.Option(help="The reason, recorded with the hold.")] = None,
    rate: RateOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Lift a hold now. The messages that it deferred are evaluated again, at a bounded rate."""
    how = {"reason": reason, "rate": rate}
    with connect(service="suppression") as api:
        lifted = api.post(
            f"{PATH}/{quote_segment(key)}/lift", {name: value for name, value in how.items() if value is not None}
        )
    released = f"deferred messages are released at {lifted['release_rate']} a second"
    print_message(f"{key}: lifted; {released if lifted['mode'] == HoldMode.DEFER else 'what it dropped stays dropped'}")
    _print_hold(lifted, output)


def _build_scope(
    region: str | None, traits: Sequence[str] | None, value_lists: Sequence[Sequence[str] | None]
) -> dict[str, Any] | None:
    """The scope given by the options; None without any."""
    scope: dict[str, Any] = {
        name: [str(value) for value in values] for name, values in zip(SCOPE_FIELDS, value_lists, strict=True) if values
    }
    if region:
        scope["region"] = region
    if traits:
        scope["trait"] = dict(map(_parse_trait, traits))
    return scope or None


def _parse_trait(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"`{text}` is not name=value", param_hint="--trait")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parse_end(api: ApiClient, until: str | None, for_: str | None) -> dict[str, str]:
    if until is not None and for_ is not None:
        raise typer.BadParameter("give either --until or --for", param_hint="--for")
    try:
        if for_ is not None:
            return {"until": format_instant(parse_instant(api.now()) + parse_duration(for_))}
        return {} if until is None else {"until": format_instant(parse_instant(until))}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for" if for_ else "--until") from None


def _read_hold(path: Path | None) -> Mapping[str, Any]:
    hold = {} if path is None else read_document(path)
    if not isinstance(hold, Mapping):
        raise CommandError(f"{path}: not a hold", hint='write an object such as {"key": "inc-482", "mode": "defer"}')
    return hold


def _print_hold(hold: dict[str, Any], output: OutputFormat) -> None:
    print_data([_hold_row(hold)] if output is OutputFormat.TABLE else hold, output, COLUMNS)


def _hold_row(hold: Mapping[str, Any]) -> dict[str, Any]:
    """A hold as one row, with who placed or lifted it last, and why."""
    lifted = hold["state"] == "lifted"
    return {
        **{name: hold.get(name) for name in ("key", "mode", "state", "until")},
        "scope": _format_scope(hold["scope"]) or "everything",
        "by": hold["lifted_by"] if lifted else f"{hold['placed_by']} {hold['placed_at']}",
        "why": hold["lift_reason"] if lifted else hold["reason"],
    }


def _format_scope(scope: Mapping[str, Any]) -> str:
    words = [word for name in SCOPE_FIELDS for word in scope.get(name) or ()]
    words += [scope["region"]] if scope.get("region") else []
    words += [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in (scope.get("trait") or {}).items()]
    return " ".join(words)


def _plan_rows(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Both counts of the plan side by side, in its order."""
    lines: dict[tuple[str, ...], dict[str, Any]] = {}
    names = ("campaign", "channel", "outcome", "reason")
    for count_name in ("after_caps", "now"):
        for item in plan[count_name]["items"]:
            group = tuple(item[name] for name in names)
            line = lines.setdefault(group, {**dict(zip(names, group, strict=True)), "now": 0, "after_caps": 0})
            line[count_name] = item["messages"]
    return list(lines.values())

"""`tactful campaigns`: register them, and lead them through their life."""

from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.campaign import Campaign
from tactful.command_errors import NOT_FOUND, CommandError
from tactful.connection import Api, Person, connect
from tactful.document_files import checked, documents, is_same
from tactful.lint_findings import tell
from tactful.output import Format, Output, following, show, talk
from tactful.shadow_report import Report
from tactful.shadow_report import report as tell_shadow
from tactful.version_lifecycle import goes_on, lead, report

app = typer.Typer(no_args_is_help=True, help="Register campaigns, and lead them through their life.")
PATH = "/v1/campaigns"
COLUMNS = {
    "campaign": "key",
    "class": "class",
    "prio": "priority",
    "channels": "channels",
    "newest": "newest",
    "runs": "runs",
}
Key = Annotated[str, typer.Argument(help="The campaign's key.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept with the change.")]


@app.command()
def apply(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of them.", exists=True)],
    activate: Annotated[bool, typer.Option("--activate", help="Go all the way; with `tactful dev` alone.")] = False,
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Register campaigns from files and submit them for approval."""
    read = [(path, *checked(path, Campaign)) for path in documents(paths)]
    applied = [_apply(path, data, campaign, activate, reason) for path, data, campaign in read]
    show([_line(version) for version in applied], output, COLUMNS)
    waiting = [version["key"] for version in applied if version["status"] == "submitted"]
    if waiting:
        following(f"tactful campaigns approve {waiting[0]}")


def _apply(path: Path, data: Any, campaign: Campaign, activate: bool, reason: str | None) -> dict[str, Any]:
    with connect() as api:
        before = _current(api, campaign.key)
        same = before is not None and goes_on(before) and is_same(Campaign, before, campaign)
        try:
            version: dict[str, Any] = before if same and before else api.put(f"{PATH}/{campaign.key}", data)
        except CommandError as error:
            error.what = f"{path}: {error.what}"
            raise
    tell(campaign.key, version)
    version = lead(f"{PATH}/{campaign.key}", version, activate, reason)
    report(campaign.key, version, not same)
    return version


def _current(api: Api, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.get(f"{PATH}/{key}")
    except CommandError as error:
        if error.exit_code == NOT_FOUND:
            return None
        raise
    return found


@app.command("list")
def list_(output: Output = Format.TABLE) -> None:
    """List all campaigns."""
    with connect() as api:
        found = list(api.every(PATH))
    show([_line(item) for item in found] if output is Format.TABLE else found, output, COLUMNS)


@app.command("show")
def show_(
    key: Key,
    version: Annotated[int | None, typer.Option(help="Which version.", show_default="the newest")] = None,
    output: Output = Format.YAML,
) -> None:
    """Show one campaign with its content."""
    with connect() as api:
        show(api.get(f"{PATH}/{key}" if version is None else f"{PATH}/{key}/versions/{version}"), output)


@app.command()
def approve(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Approve a submitted campaign; its last editor cannot."""
    _act(key, "approve", reason, output, "reviewer")
    following(f"tactful campaigns activate {key}")


@app.command()
def activate(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Start an approved campaign, or resume a paused one."""
    _act(key, "activate", reason, output)


@app.command()
def shadow(key: Key, report: Report = False, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Let an approved campaign decide on live events without sending, or show what it decided."""
    if report:
        tell_shadow(key, f"{PATH}/{key}/shadow", output)
    else:
        _act(key, "shadow", reason, output)
        following(f"tactful campaigns shadow {key} --report")


@app.command()
def submit(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Ask for the approval of a draft."""
    _act(key, "submit", reason, output)
    following(f"tactful campaigns approve {key}")


@app.command()
def reject(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Send a submitted campaign, or one in shadow, back to its editor."""
    _act(key, "reject", reason, output, "reviewer")
    following("tactful campaigns apply FILE")


@app.command()
def stop(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """End a campaign for good; `pause` can be undone."""
    _act(key, "stop", reason, output)


@app.command()
def pause(key: Key, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Stop a running campaign until it is activated again."""
    _act(key, "pause", reason, output)
    following(f"tactful campaigns activate {key}")


def _act(key: str, action: str, reason: str | None, output: Format, person: Person = "admin") -> None:
    with connect(person) as api:
        version = api.post(f"{PATH}/{key}/{action}", {"reason": reason} if reason else {})
    talk(f"{key} version {version['version']}: {version['status']}")
    show([_line(version)] if output is Format.TABLE else version, output, COLUMNS)


def _line(version: dict[str, Any]) -> dict[str, Any]:
    active = version.get("active_version")
    return {
        **{name: version.get(name) for name in ("key", "class", "priority")},
        "channels": " ".join(version["channels"]),
        "newest": f"{version['version']} {version['status']}",
        "runs": f"{active} {version['active_status']}" if active else None,
    }

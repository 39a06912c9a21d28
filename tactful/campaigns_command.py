"""`tactful campaigns`: register campaigns, and approve, start, pause and stop their versions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.campaign import Campaign
from services.kit.http.path_segments import quote_segment
from tactful.command_errors import EXIT_NOT_FOUND, CommandError
from tactful.connection import ApiClient, KeyName, connect
from tactful.document_files import find_documents, is_same_document, read_and_validate
from tactful.lint_findings import print_findings
from tactful.output import OutputFormat, OutputOption, print_data, print_message, suggest_command
from tactful.shadow_report import ReportOption, print_shadow_report
from tactful.version_lifecycle import advance_version, is_active_or_pending, print_status

app = typer.Typer(no_args_is_help=True, help="Register, approve, start, pause and stop campaigns.")
PATH = "/v1/campaigns"
COLUMNS = {
    "campaign": "key",
    "class": "class",
    "prio": "priority",
    "channels": "channels",
    "newest": "newest",
    "runs": "runs",
}
KeyArgument = Annotated[str, typer.Argument(help="The campaign's key.")]
ReasonOption = Annotated[str | None, typer.Option(help="The reason, recorded with the change.")]


@app.command()
def apply(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with files.", exists=True)],
    activate: Annotated[
        bool, typer.Option("--activate", help="Also approve and activate; only with `tactful dev`.")
    ] = False,
    reason: ReasonOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Register campaigns from files and submit them for approval."""
    inputs = [(path, *read_and_validate(path, Campaign)) for path in find_documents(paths)]
    versions = [_apply_file(path, data, campaign, activate, reason) for path, data, campaign in inputs]
    print_data([_campaign_row(version) for version in versions], output, COLUMNS)
    submitted_keys = [version["key"] for version in versions if version["status"] == "submitted"]
    if submitted_keys:
        suggest_command(f"tactful campaigns approve {submitted_keys[0]}")


def _apply_file(path: Path, data: Any, campaign: Campaign, activate: bool, reason: str | None) -> dict[str, Any]:
    with connect() as api:
        current = _get_campaign(api, campaign.key)
        is_unchanged = (
            current is not None and is_active_or_pending(current) and is_same_document(Campaign, current, campaign)
        )
        try:
            version: dict[str, Any] = current if is_unchanged and current else api.put(f"{PATH}/{campaign.key}", data)
        except CommandError as error:
            error.message = f"{path}: {error.message}"
            raise
    print_findings(campaign.key, version)
    version = advance_version(f"{PATH}/{campaign.key}", version, activate, reason)
    print_status(campaign.key, version, not is_unchanged)
    return version


def _get_campaign(api: ApiClient, key: str) -> dict[str, Any] | None:
    try:
        campaign: dict[str, Any] = api.get(f"{PATH}/{quote_segment(key)}")
    except CommandError as error:
        if error.exit_code == EXIT_NOT_FOUND:
            return None
        raise
    return campaign


@app.command("list")
def list_(output: OutputOption = OutputFormat.TABLE) -> None:
    """List all campaigns."""
    with connect() as api:
        campaigns = list(api.list_all(PATH))
    print_data(
        [_campaign_row(item) for item in campaigns] if output is OutputFormat.TABLE else campaigns,
        output,
        COLUMNS,
        empty="there are no campaigns; `tactful campaigns apply FILE` registers one",
    )


@app.command("show")
def show_(
    key: KeyArgument,
    version: Annotated[int | None, typer.Option(help="The version.", show_default="the newest")] = None,
    output: OutputOption = OutputFormat.YAML,
) -> None:
    """Show one campaign with its content."""
    with connect() as api:
        print_data(
            api.get(
                f"{PATH}/{quote_segment(key)}" if version is None else f"{PATH}/{quote_segment(key)}/versions/{version}"
            ),
            output,
        )


@app.command("check")
def check_(key: KeyArgument, output: OutputOption = OutputFormat.TABLE) -> None:
    """Check the version that decides, or the newest, as if it were saved now. Exit code 1 if it would be refused."""
    with connect() as api:
        found = api.get(f"{PATH}/{quote_segment(key)}/findings")
    if output is OutputFormat.TABLE:
        print_findings(key, found)
    else:
        print_data(found, output)
    version = f"version {found['version']} of {key}"
    if any(each["severity"] == "error" for each in found["findings"]):
        decides = "it decides as before" if found["usable"] else "it decides nothing"
        raise CommandError(f"{version} could not be saved today; {decides}", hint="mend it, and apply it anew")
    print_message(f"{version} could be saved today")


@app.command()
def approve(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Approve a submitted campaign. Its last editor may not."""
    _change_status(key, "approve", reason, output, "reviewer")
    suggest_command(f"tactful campaigns activate {key}")


@app.command()
def activate(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Start an approved campaign, or resume a paused one."""
    _change_status(key, "activate", reason, output)


@app.command()
def shadow(
    key: KeyArgument,
    report: ReportOption = False,
    reason: ReasonOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Evaluate an approved campaign on live events. Nothing is sent; --report shows the results."""
    if report:
        print_shadow_report(key, f"{PATH}/{quote_segment(key)}/shadow", output)
    else:
        _change_status(key, "shadow", reason, output)
        suggest_command(f"tactful campaigns shadow {key} --report")


@app.command()
def submit(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Submit a draft for approval."""
    _change_status(key, "submit", reason, output)
    suggest_command(f"tactful campaigns approve {key}")


@app.command()
def reject(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Return a campaign to its editor as a draft. For submitted ones, and for those in shadow."""
    _change_status(key, "reject", reason, output, "reviewer")
    suggest_command("tactful campaigns apply FILE")


@app.command()
def stop(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Stop a campaign permanently; `pause` can be undone."""
    _change_status(key, "stop", reason, output)


@app.command()
def pause(key: KeyArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Pause a running campaign until it is activated again."""
    _change_status(key, "pause", reason, output)
    suggest_command(f"tactful campaigns activate {key}")


def _change_status(key: str, action: str, reason: str | None, output: OutputFormat, person: KeyName = "admin") -> None:
    with connect(person) as api:
        path = f"{PATH}/{quote_segment(key)}"
        version = api.post(f"{path}/{action}", {"reason": reason} if reason else {})
        newest = api.get(path)  # a draft may be newer than the version that was acted on
    print_message(f"{key} version {version['version']}: {version['status']}")
    print_data([_campaign_row(newest)] if output is OutputFormat.TABLE else version, output, COLUMNS)


def _campaign_row(version: dict[str, Any]) -> dict[str, Any]:
    active = version.get("active_version")
    return {
        **{name: version.get(name) for name in ("key", "class", "priority")},
        "channels": " ".join(version["channels"]),
        "newest": f"{version['version']} {version['status']}",
        "runs": f"{active} {version['active_status']}" if active else None,
    }

"""`tactful policy`: saves, approves and activates versions of the organisation's policy."""

from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.policy import Policy
from tactful.connection import KeyName, connect
from tactful.document_files import is_same_document, read_and_validate
from tactful.lint_findings import print_findings
from tactful.output import OutputFormat, OutputOption, print_data, suggest_command
from tactful.shadow_report import ReportOption, print_shadow_report
from tactful.version_lifecycle import advance_version, is_active_or_pending, print_status

app = typer.Typer(no_args_is_help=True, help="Save, approve and activate versions of the policy.")
PATH = "/v1/policy"
COLUMNS = {"version": "version", "status": "status", "editor": "editor", "approved by": "approved_by"}
VersionArgument = Annotated[int, typer.Argument(help="The version.", min=1)]
ReasonOption = Annotated[str | None, typer.Option(help="The reason, recorded with the change.")]


@app.command()
def apply(
    path: Annotated[Path, typer.Argument(help="The policy document.", exists=True, dir_okay=False)],
    activate: Annotated[
        bool, typer.Option("--activate", help="Also approve and activate; only with `tactful dev`.")
    ] = False,
    reason: ReasonOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Save a policy as the next version and submit it for approval."""
    data, policy = read_and_validate(path, Policy)
    with connect() as api:
        newest = next(iter(api.get(f"{PATH}/versions", limit=1)["items"]), None)
        is_unchanged = newest is not None and is_active_or_pending(newest) and is_same_document(Policy, newest, policy)
        version: dict[str, Any] = newest if newest and is_unchanged else api.put(PATH, data)
    print_findings("policy", version)
    version = advance_version(f"{PATH}/versions/{version['version']}", version, activate, reason)
    print_status("policy", version, not is_unchanged)
    print_data([version] if output is OutputFormat.TABLE else version, output, COLUMNS)
    if version["status"] == "submitted":
        suggest_command(f"tactful policy approve {version['version']}")


@app.command("show")
def show_(
    version: Annotated[int | None, typer.Option(help="The version.", show_default="the active one")] = None,
    output: OutputOption = OutputFormat.YAML,
) -> None:
    """Show the policy."""
    with connect() as api:
        print_data(api.get(PATH if version is None else f"{PATH}/versions/{version}"), output)


@app.command()
def approve(version: VersionArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Approve a submitted version. Its last editor may not."""
    _change_status(version, "approve", reason, output, "reviewer")
    suggest_command(f"tactful policy activate {version}")


@app.command()
def activate(version: VersionArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Make an approved version the active one."""
    _change_status(version, "activate", reason, output)


@app.command()
def shadow(
    version: VersionArgument,
    report: ReportOption = False,
    reason: ReasonOption = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Evaluate an approved version on live events. It has no effect; --report shows the results."""
    if report:
        print_shadow_report("policy", f"{PATH}/versions/{version}/shadow", output)
    else:
        _change_status(version, "shadow", reason, output)
        suggest_command(f"tactful policy shadow {version} --report")


@app.command()
def reject(version: VersionArgument, reason: ReasonOption = None, output: OutputOption = OutputFormat.TABLE) -> None:
    """Return a version to its editor as a draft. For submitted ones, and for those in shadow."""
    _change_status(version, "reject", reason, output, "reviewer")
    suggest_command("tactful policy apply FILE")


def _change_status(
    number: int, action: str, reason: str | None, output: OutputFormat, person: KeyName = "admin"
) -> None:
    with connect(person) as api:
        version = api.post(f"{PATH}/versions/{number}/{action}", {"reason": reason} if reason else {})
    print_data([version] if output is OutputFormat.TABLE else version, output, COLUMNS)

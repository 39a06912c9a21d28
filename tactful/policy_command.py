"""`tactful policy`: the one document for the whole organisation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.policy import Policy
from tactful.connection import Person, connect
from tactful.document_files import checked, is_same
from tactful.lint_findings import tell
from tactful.output import Format, Output, following, show
from tactful.shadow_report import Report
from tactful.shadow_report import report as tell_shadow
from tactful.version_lifecycle import goes_on, lead, report

app = typer.Typer(no_args_is_help=True, help="Caps, gaps, quiet hours, history rules, situations and topics.")
PATH = "/v1/policy"
COLUMNS = {"version": "version", "status": "status", "editor": "editor", "approved by": "approved_by"}
Number = Annotated[int, typer.Argument(help="The version.", min=1)]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept with the change.")]


@app.command()
def apply(
    path: Annotated[Path, typer.Argument(help="The document.", exists=True, dir_okay=False)],
    activate: Annotated[bool, typer.Option("--activate", help="Go all the way; with `tactful dev` alone.")] = False,
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Keep a policy as the next draft and submit it for approval."""
    data, policy = checked(path, Policy)
    with connect() as api:
        newest = next(iter(api.get(f"{PATH}/versions", limit=1)["items"]), None)
        same = newest is not None and goes_on(newest) and is_same(Policy, newest, policy)
        version: dict[str, Any] = newest if newest and same else api.put(PATH, data)
    tell("policy", version)
    version = lead(f"{PATH}/versions/{version['version']}", version, activate, reason)
    report("policy", version, not same)
    show([version] if output is Format.TABLE else version, output, COLUMNS)
    if version["status"] == "submitted":
        following(f"tactful policy approve {version['version']}")


@app.command("show")
def show_(
    version: Annotated[int | None, typer.Option(help="Which version.", show_default="the active one")] = None,
    output: Output = Format.YAML,
) -> None:
    """Show the policy."""
    with connect() as api:
        show(api.get(PATH if version is None else f"{PATH}/versions/{version}"), output)


@app.command()
def approve(version: Number, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Approve a submitted version; its last editor cannot."""
    _act(version, "approve", reason, output, "reviewer")
    following(f"tactful policy activate {version}")


@app.command()
def activate(version: Number, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Make an approved version the one that decides."""
    _act(version, "activate", reason, output)


@app.command()
def shadow(version: Number, report: Report = False, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Let an approved version decide on live events without effect, or show what it decided."""
    if report:
        tell_shadow("policy", f"{PATH}/versions/{version}/shadow", output)
    else:
        _act(version, "shadow", reason, output)
        following(f"tactful policy shadow {version} --report")


@app.command()
def reject(version: Number, reason: Reason = None, output: Output = Format.TABLE) -> None:
    """Send a submitted version, or one in shadow, back to its editor."""
    _act(version, "reject", reason, output, "reviewer")
    following("tactful policy apply FILE")


def _act(number: int, action: str, reason: str | None, output: Format, person: Person = "admin") -> None:
    with connect(person) as api:
        version = api.post(f"{PATH}/versions/{number}/{action}", {"reason": reason} if reason else {})
    show([version] if output is Format.TABLE else version, output, COLUMNS)

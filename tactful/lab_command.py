"""`tactful lab`: runs the provider lab, which plays providers on this machine, and shows what arrived there.

The lab is imported by the commands that need it, as its server would make every start of the command line slower.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from pydantic import ValidationError

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY
from tactful.command_errors import CommandError
from tactful.connection import ADDRESS_FILE
from tactful.document_files import read_document
from tactful.output import OutputFormat, OutputOption, print_data, print_message

if TYPE_CHECKING:
    from services.lab.lab_script import FaultRule, LabScript

app = typer.Typer(invoke_without_command=True, help="Run the provider lab, and see what arrived there.")
DEFAULT_DIRECTORY = Path("tactful-lab")
DEFAULT_PORT, DEFAULT_RECEIPTS_URL = 8025, "http://127.0.0.1:8000"
SENDER = "news@shop.example"
LOG_COLUMNS = {
    "number": "number",
    "provider": "provider",
    "message": "message_id",
    "outcome": "outcome",
    "status": "status",
    "fault": "fault",
}
RECEIPT_COLUMNS = {"at": "at", "provider": "provider", "message": "message_id", "says": "kind", "answer": "status"}
DirectoryOption = Annotated[Path, typer.Option("--data-dir", help="The directory of its files.", show_default=True)]
ProviderArgument = Annotated[str, typer.Argument(help="The provider's name, which is that of the adapter.")]


@app.callback()
def lab(
    context: typer.Context,
    data_dir: DirectoryOption = DEFAULT_DIRECTORY,
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0: any free port.", min=0, max=65_535, show_default=True)
    ] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="The address to listen on.", show_default=True)] = "127.0.0.1",
    receipts: Annotated[
        str, typer.Option(help="The address of the Tactful that is told.", show_default=True)
    ] = DEFAULT_RECEIPTS_URL,
    script: Annotated[
        Path | None, typer.Option(help="A script with faults (YAML, JSON).", dir_okay=False, exists=True)
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=SHARE]", help="A fault, of a share of requests. May be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What chance depends on.", show_default="0")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen on, and tell, other machines too.")
    ] = False,
) -> None:
    """Play providers on this machine: answers, faults and receipts. Nothing is sent to anybody."""
    if context.invoked_subcommand is not None:
        return
    from services.lab import lab_process

    chosen = _build_script(script, fault or [], seed)
    options = lab_process.LabOptions(data_dir, host, port, receipts, chosen, allow_remote)
    raise typer.Exit(lab_process.run_lab(options))


@app.command("settings")
def settings_(
    provider: ProviderArgument,
    data_dir: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Print what Tactful has to be told to use a provider."""
    from services.lab.lab_keys import LabSecretUnusable, load_or_create_keys
    from services.lab.provider_registry import load_providers, write_settings

    known = load_providers()
    if provider not in known:
        raise CommandError(f"the lab plays no `{provider}`", hint=f"use {', '.join(known)}")
    try:
        keys = load_or_create_keys(data_dir)
    except LabSecretUnusable as error:
        raise CommandError(str(error)) from None
    url = _read_address(data_dir) or f"http://127.0.0.1:{DEFAULT_PORT}"
    own = write_settings(provider, known[provider].list_settings(keys, f"{url}/{provider}"))
    for name, value in {**_list_common_settings(provider), **own}.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command("log")
def log_(
    data_dir: DirectoryOption = DEFAULT_DIRECTORY,
    after: Annotated[int, typer.Option(help="Only arrivals with higher numbers.", min=0, show_default=True)] = 0,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show the requests that arrived."""
    items = _ask(data_dir, "GET", f"/lab/log?after={after}")["items"]
    print_data(items, output, LOG_COLUMNS, empty="nothing has arrived")


@app.command("receipts")
def receipts_(data_dir: DirectoryOption = DEFAULT_DIRECTORY, output: OutputOption = OutputFormat.TABLE) -> None:
    """Show the receipts that were sent, and how Tactful answered."""
    items = _ask(data_dir, "GET", "/lab/receipts")["items"]
    print_data(items, output, RECEIPT_COLUMNS, empty="no receipt has been sent")


@app.command("script")
def script_(
    file: Annotated[
        Path | None, typer.Argument(help="The new script (YAML, JSON); without it the present one is shown.")
    ] = None,
    data_dir: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Replace the script of the running lab, or show it."""
    if file is None:
        print_data(_ask(data_dir, "GET", "/lab/script"), OutputFormat.YAML)
        return
    script = _read_script(file)
    _ask(data_dir, "PUT", "/lab/script", script.model_dump(mode="json"))
    print_message(f"The lab follows {file}.")


def _list_common_settings(provider: str) -> Mapping[str, str]:
    """Which channels use the adapter, and what it needs beside its own section."""
    declaration = ADAPTER_REGISTRY.declarations[provider]
    channels = declaration.channels or frozenset(CHANNEL_REGISTRY.declarations)
    settings = {f"TACTFUL_ADAPTERS__{channel.upper()}": provider for channel in sorted(channels)}
    settings["TACTFUL_OUTBOUND__NETWORKS"] = "127.0.0.0/8"
    if declaration.sends_mail:
        settings["TACTFUL_MAIL__FROM_ADDRESS"] = SENDER
    return settings


def _build_script(path: Path | None, faults: list[str], seed: int | None) -> "LabScript":
    """The script of a file, with the faults of the command line first."""
    from services.lab.lab_script import LabScript

    script = _read_script(path) if path is not None else LabScript()
    changes: dict[str, Any] = {"faults": (*map(_read_fault, faults), *script.faults)}
    return script.model_copy(update=changes if seed is None else {**changes, "seed": seed})


def _read_fault(text: str) -> "FaultRule":
    from services.lab.lab_script import FAULT_NAMES, FaultRule

    name, _, share = text.partition("=")
    if name not in FAULT_NAMES:
        raise typer.BadParameter(f"there is no fault `{name}`: use {', '.join(FAULT_NAMES)}", param_hint="--fault")
    try:
        return FaultRule.model_validate({"fault": name, "share": float(share) if share else 1.0})
    except ValueError:
        raise typer.BadParameter(f"`{share}` is no share: write a number from 0 to 1", param_hint="--fault") from None


def _read_script(path: Path) -> "LabScript":
    from services.lab.lab_script import LabScript, describe_fault

    try:
        return LabScript.model_validate(read_document(path))
    except ValidationError as error:
        raise CommandError(f"{path}: {describe_fault(error)}") from None


def _read_address(directory: Path) -> str | None:
    """The address of the lab that runs on a directory; None if none does."""
    try:
        return (directory / ADDRESS_FILE).read_text("utf-8").strip() or None
    except OSError:
        return None


def _ask(directory: Path, method: str, path: str, body: Any = None) -> Any:
    """One request to the lab that runs on a directory. Raises CommandError."""
    address = _read_address(directory)
    hint = "start it with `tactful lab`, or name its --data-dir"
    if address is None:
        raise CommandError(f"no lab runs on {directory}", hint=hint)
    try:
        answer = httpx.request(method, address + path, json=body, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        raise CommandError(f"cannot reach the lab at {address} ({error})", hint=hint) from None
    if answer.is_error:
        raise CommandError(str(answer.json()["detail"]))
    return answer.json()

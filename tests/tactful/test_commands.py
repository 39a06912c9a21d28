"""What all commands share: exit codes, stdout and stderr, the error if no server responds; and db, config, dev."""

import contextlib
import os
import pty
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from services.development.dev_settings import lock_data_dir
from services.kit.observability.build_info import COMMIT_VARIABLE, VERSION
from tactful.__main__ import main
from tactful.command_errors import CommandError, error_from_response
from tactful.hold_command import COLUMNS as HOLD_COLUMNS
from tactful.output import OutputFormat, print_data, print_message, print_table
from tests.support.command_line import NOON, ROOT, RunningProduct, environment, product, run

pytestmark = pytest.mark.wired

COMMANDS = (
    "dev",
    "events",
    "campaigns",
    "policy",
    "why",
    "simulate",
    "doctor",
    "status",
    "demo",
    "keys",
    "db",
    "config",
    "lab",
)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_80_columns(command: str) -> None:
    done = run(command, "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


def test_it_is_a_module_too(nothing: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tactful", "campaigns", "list"]
    done = subprocess.run(command, capture_output=True, env=environment(**nothing), cwd=ROOT, check=False)
    assert done.returncode == 1
    assert done.stdout == b"" and done.stderr.startswith(b"error: cannot reach Tactful")


def test_it_tells_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tactful {VERSION}\n"
    monkeypatch.setenv(COMMIT_VARIABLE, "abc123")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tactful {VERSION} (abc123)\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    done = run("compaigns")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'compaigns'" in done.err


def test_when_nobody_answers_the_way_to_mend_it_is_told(nothing: dict[str, str]) -> None:
    done = run("campaigns", "list", given=nothing)
    assert (done.code, done.out) == (1, "")
    assert "error: cannot reach Tactful at http://127.0.0.1:9" in done.err
    assert "fix: start it with `tactful dev`" in done.err
    assert "writes its address into its data directory" in done.err and "TACTFUL_DATA_DIR" in done.err
    assert "Traceback" not in done.err


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_data([], OutputFormat.TABLE, {"id": "id"}, empty="there are no keys")
    assert capsys.readouterr() == ("", "there are no keys\n")
    print_data([], OutputFormat.JSON, {"id": "id"}, empty="there are no keys")
    assert capsys.readouterr() == ("[]\n", "")


def test_a_table_of_80_columns_breaks_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    hold = {"key": "inc-482-checkout", "state": "active", "mode": "defer", "by": f"admin {NOON}", "why": "failing " * 9}
    print_table([{**hold, "scope": "sms push order-shipped"}], HOLD_COLUMNS)
    assert NOON in capsys.readouterr().out


def test_a_refusal_names_commands_and_not_requests_and_is_followed_by_its_errors() -> None:
    errors = [{"pointer": "/key", "code": "bad", "detail": "wrong"}]
    request = httpx.Request("POST", "http://tactful/v1/holds")

    def refusal(detail: str, *errors: dict[str, str]) -> CommandError:
        body = {"detail": detail, "code": "c", "errors": errors}
        return error_from_response(httpx.Response(422, json=body, request=request))

    assert refusal("1 fault in the request; see errors.", *errors).message == "1 fault in the request (c)"
    assert refusal("no hold; GET /v1/holds lists them").message == "no hold; `tactful hold list --all` lists them (c)"


def test_a_setting_that_does_not_exist_is_refused_with_a_suggestion(nothing: dict[str, str]) -> None:
    done = run("campaigns", "list", given={**nothing, "TACTFUL_DATADIR": "x"})
    assert done.code == 1
    assert done.err == "error: unknown environment variable TACTFUL_DATADIR, did you mean `TACTFUL_DATA_DIR`?\n"


def test_config_show_tells_where_a_setting_is_from_and_masks_secrets() -> None:
    given = {"TACTFUL_ADMIN_KEY": "0123456789abcdef", "TACTFUL_DATABASE__URL": "postgresql+asyncpg://me:secret@db/t"}
    done = run("config", "show", "--origin", "-o", "json", given=given)
    found = {item["name"]: (item["value"], item["origin"]) for item in done.data}
    assert found["TACTFUL_ADMIN_KEY"] == ("********", "environment")
    assert found["TACTFUL_DATABASE__URL"][0] == "postgresql+asyncpg://me:********@db/t"
    assert found["TACTFUL_DATABASE__POOL"] == ("8", "default")
    assert "origin" not in run("config", "show", "-o", "json").data[0]


@pytest.mark.parametrize("service", ["orchestrator", "preference", "suppression"])
def test_db_upgrade_brings_a_database_to_the_newest_step(service: str, tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    given = {"TACTFUL_DATABASE__URL": f"sqlite+aiosqlite:///{path}"}
    before = run("db", "check", "--service", service, given=given)
    assert before.code == 1 and f"fix: tactful db upgrade --service {service}" in before.err
    for _ in range(2):
        assert run("db", "upgrade", "--service", service, given=given).code == 0
    assert run("db", "check", "--service", service, "--url", given["TACTFUL_DATABASE__URL"]).code == 0
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    connection.close()
    assert tables > 3


def test_db_without_an_address_says_which_setting_it_needs() -> None:
    done = run("db", "check", "--service", "preference")
    assert done.code == 1
    assert done.err == "error: TACTFUL_DATABASE__URL is not set, and this process needs it\n"


def test_dev_refuses_a_directory_that_is_in_use(tmp_path: Path) -> None:
    held = lock_data_dir(tmp_path)
    try:
        done = run("dev", "--data-dir", tmp_path, "--no-demo", "--port", "0")
    finally:
        held.close()
    assert done.code == 1
    assert "in use by another process" in done.err


def test_dev_refuses_a_clock_that_it_cannot_read(tmp_path: Path) -> None:
    assert run("dev", "--data-dir", tmp_path, "--clock", "noon").code == 2


def test_dev_refuses_a_port_that_is_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("dev", "--data-dir", tmp_path, "--no-demo", "--port", str(taken.getsockname()[1]))
    assert done.code == 1
    assert "choose another --port" in done.err


def test_dev_refuses_a_demo_that_could_leave_the_machine(tmp_path: Path) -> None:
    done = run("dev", "--data-dir", tmp_path, "--port", "0", given={"TACTFUL_ADAPTERS__SMS": "webhook"})
    assert done.code == 1
    assert "the demo runs only with the sandbox" in done.err and "--no-demo" in done.err


def test_the_address_of_dev_is_found_in_its_directory_unless_one_is_set(tactful: RunningProduct) -> None:
    directory = {"TACTFUL_DATA_DIR": str(tactful.directory)}
    assert run("policy", "show", given=directory).code == 0
    elsewhere = run("policy", "show", given={**directory, "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9"})
    assert "cannot reach Tactful at http://127.0.0.1:9" in elsewhere.err


def test_the_address_is_gone_with_dev(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo") as running:
        assert (running.directory / "address").read_text("utf-8").strip() == running.address
    assert not (running.directory / "address").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    given = {"_TACTFUL_COMPLETE": f"complete_{shell}", "COMP_WORDS": "tactful camp", "COMP_CWORD": "1"}
    given |= {"_TYPER_COMPLETE_ARGS": "tactful camp", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "campaigns" in run(given=given).out


def test_colours_are_for_a_terminal_that_wants_them() -> None:
    """A table has colours on a pseudo-terminal, but none with NO_COLOR or in a file."""
    assert "\x1b[" in on_a_terminal({"TERM": "xterm"})
    assert "\x1b[3" not in on_a_terminal({"TERM": "xterm", "NO_COLOR": "1"})


def on_a_terminal(given: dict[str, str]) -> str:
    """What a command that fails prints on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tactful", "campaigns", "show", "x"]
    given = {**given, "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9"}
    subprocess.run(command, stdout=theirs, stderr=theirs, env=environment(**given), cwd=ROOT, check=False)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    return shown.decode()


def test_without_the_demo_the_box_suggests_what_works_on_an_empty_installation(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo") as running:
        box = (tmp_path / "dev.log").read_text("utf-8")
        assert "tactful demo start" in box and "ada" not in box.partition("Try ")[2]
        doctor = running.run("doctor")
        assert "tactful doctor" in box and doctor.code in (0, 1) and "error:" not in doctor.err
        assert running.run("demo", "start").code == 0


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_arguments_are_read_as_utf8_whatever_the_locale(tmp_path: Path, locale: str) -> None:
    data = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": locale, "TACTFUL_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tactful", "campaigns", "apply", str(tmp_path / "größe.yaml")]
    (tmp_path / "größe.yaml").write_text("größe: 1", "utf-8")
    ended = subprocess.run(command, env=environment(**data), capture_output=True, check=False)
    assert "unknown field `größe`" in ended.stderr.decode(), ended.stderr


def test_an_argument_that_is_not_text_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "c-\udcff", "offer"]) == 2
    assert "argument 2 is not text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("character", ["\x1b[31m", "\x9b31m", "\x01", "\x7f", "\u202e", "\u2028"])
def test_control_characters_of_data_are_shown_and_do_not_reach_the_terminal(
    character: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"a{character}b"
    print_data([{"why": text}], OutputFormat.TABLE, {"why": "why"})
    print_data({"why": text}, OutputFormat.TABLE)
    print_message(text)
    shown = "".join(capsys.readouterr())
    assert shown.count(text.encode("unicode_escape").decode()) == 3 and character[0] not in shown
